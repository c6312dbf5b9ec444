package logs

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// sink is a writer that can be held up.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func TestLines(t *testing.T) {
	for journal, want := range map[bool][]string{
		true:  {"<6>fine\n", "<4>hm\n", "<3>no\n"},
		false: {" zswapd: fine\n", " zswapd: warn: hm\n", " zswapd: error: no\n"},
	} {
		var s sink
		l := New(&s, journal)
		l.Info("fine")
		l.Warn("hm")
		l.Error("no")
		l.Debug("not this")
		l.Close()
		lines := strings.SplitAfter(s.text.String(), "\n")
		if len(lines) != 4 {
			t.Fatalf("%q", lines)
		}
		for i, w := range want {
			if journal && lines[i] != w || !strings.HasSuffix(lines[i], w) {
				t.Errorf("%q, want %q", lines[i], w)
			}
		}
	}
}

// TestSeveralLines: journalctl -p err shows all of an error, and who reads a file knows whose each line is.
func TestSeveralLines(t *testing.T) {
	for journal, want := range map[bool]string{true: "<3>first\n<3>second\n<3>third\n", false: "error: first\nerror: second\nerror: third\n"} {
		var s sink
		l := New(&s, journal)
		l.Error("first\nsecond\nthird")
		l.Close()
		got := s.text.String()
		if !journal { // the time, and the name
			got = regexp.MustCompile(`(?m)^\S+ zswapd: `).ReplaceAllString(got, "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLevel(t *testing.T) {
	var s sink
	l := New(&s, true)
	l.Level.SetLevel(zap.ErrorLevel)
	l.Warn("quiet")
	l.Level.SetLevel(zap.DebugLevel)
	l.Debug("loud")
	l.Close()
	if got := s.text.String(); got != "<7>loud\n" {
		t.Errorf("%q", got)
	}
	// People who ask for events get those that the log is too quiet for.
	if e := l.Recent.Events(); len(e) != 1 || e[0].Message != "quiet" {
		t.Errorf("%+v", e)
	}
}

// The same line over and over is written some times, and then no more for a while.
func TestRateLimit(t *testing.T) {
	var s sink
	l := New(&s, true)
	for range 10_000 {
		l.Error("again")
	}
	l.Error("another")
	l.Close()
	if n := strings.Count(s.text.String(), "again"); n != sampleFirst || !strings.Contains(s.text.String(), "another") {
		t.Errorf("%d lines", n)
	}
}

// A reader who does not read holds nobody up, and is told what he missed.
func TestNobodyWaits(t *testing.T) {
	var s sink
	s.mu.Lock()
	l := New(&s, true)
	for i := range 10 * queueLines {
		l.Info(fmt.Sprint("line ", i)) // returns
	}
	began := time.Now()
	l.Close() // gives up after a while
	if time.Since(began) < closeLimit/2 {
		t.Error("it did not try to write the rest")
	}
	s.mu.Unlock()
	<-l.queue.done
	if !strings.Contains(s.text.String(), "lines were dropped") {
		t.Errorf("%q", s.text.String())
	}
}

func TestRecent(t *testing.T) {
	l := New(new(sink), true)
	defer l.Close()
	for i := range 3 * ringEvents {
		l.Info(fmt.Sprint(i))
	}
	e := l.Recent.Events()
	if len(e) != ringEvents || e[0].Message != fmt.Sprint(2*ringEvents) || e[ringEvents-1].Message != fmt.Sprint(3*ringEvents-1) {
		t.Errorf("%d events, %+v", len(e), e)
	}
}

func TestJournal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino): true, fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false, "": false, "x": false,
	} {
		t.Setenv("JOURNAL_STREAM", value)
		if got := Journal(f); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}

// TestLastLines: whatever the writer is at when the log is closed, nothing that was said before is lost.
func TestLastLines(t *testing.T) {
	for i := range 50_000 {
		var s sink
		q := newQueue(&s)
		q.put([]byte("first\n"))
		for range i % 500 { // it is at another step each time
			_ = time.Now()
		}
		q.put([]byte("last\n"))
		q.close()
		if got := s.text.String(); got != "first\nlast\n" {
			t.Fatalf("%q", got)
		}
	}
}
