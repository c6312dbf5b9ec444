package control_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
)

func waitUntil(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// send sends raw bytes on a connection of its own, and returns the answer; nil if the server closed without one.
func send(t testing.TB, path string, raw []byte) *http.Response {
	t.Helper()
	c, err := net.Dial("unix", path)
	noErr(t, err)
	t.Cleanup(func() { _ = c.Close() })
	noErr(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	go func() { _, _ = c.Write(raw) }() // it may be refused before all of it is sent
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil
	}
	return a
}

func errorOf(t testing.TB, a *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(a.Body)
	noErr(t, err)
	var e struct{ Error string }
	if err := json.Unmarshal(text, &e); err != nil || e.Error == "" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s with %q as %s is no error that a client understands", a.Status, text, a.Header.Get("Content-Type"))
	}
	return e.Error
}

func TestWhatIsNoRequest(t *testing.T) {
	d := busy(t)
	path := start(t, d, control.Options{})
	post := func(target, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
	}
	for name, c := range map[string]struct {
		raw  string
		code int
		json bool
		says string
	}{
		"no path":        {"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, true, "/v1/openapi.json"},
		"wrong method":   {"DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 405, true, "GET"},
		"get a change":   {"GET /v1/stop HTTP/1.1\r\nHost: x\r\n\r\n", 405, true, "POST"},
		"no HTTP":        {"\x00\x01\x02 hello\r\n\r\n", 400, false, ""},
		"huge header":    {"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 431, false, ""},
		"huge body":      {post("/v1/stop", `{"force":`+strings.Repeat(" ", 1<<20)+`true}`), 413, true, "too large"},
		"no JSON":        {post("/v1/stop", "force"), 400, true, "body"},
		"another field":  {post("/v1/stop", `{"force":true,"forse":true}`), 400, true, "forse"},
		"another type":   {post("/v1/stop", `{"force":1}`), 400, true, "force"},
		"two values":     {post("/v1/stop", `{"force":true}{"force":true}`), 400, true, "after"},
		"too large":      {post("/v1/writeback", `{"bytes":99999999999999999999}`), 400, true, "bytes"},
		"not for nobody": {post("/v1/compact", `{"bytes":1}`), 400, true, "bytes"},
		"no key":         {"PUT /v1/settings/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 404, true, ""},
		"deep":           {post("/v1/stop", strings.Repeat("[", 4000)), 400, true, ""},
		"cut off":        {"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"force\"", 400, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, path, []byte(c.raw))
			if a == nil || a.StatusCode != c.code {
				t.Fatalf("%+v, want %d", a, c.code)
			}
			if c.json {
				if said := errorOf(t, a); !strings.Contains(said, c.says) {
					t.Errorf("%q does not say %q", said, c.says)
				}
			}
		})
	}
	t.Cleanup(func() {
		if s := d.Info().State; s != control.StateServing {
			t.Errorf("it is %s", s)
		}
	})
}

// Whatever is sent, the next one is answered.
func TestGarbage(t *testing.T) {
	path := start(t, busy(t), control.Options{})
	r := rand.New(rand.NewPCG(3, 4))
	good := []byte("POST /v1/settings/pool.limit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"val\r\n0\r\n\r\n")
	for range 300 {
		raw := bytes.Clone(good)
		for range 1 + r.IntN(8) {
			raw[r.IntN(len(raw))] = byte(r.Uint32())
		}
		c, err := net.Dial("unix", path)
		noErr(t, err)
		_, _ = c.Write(raw[:r.IntN(len(raw)+1)])
		noErr(t, c.Close())
	}
	c, ctx := client(t, path)
	waitUntil(t, func() bool { _, err := c.Status(ctx); return err == nil })
}

// One who sends a byte now and then is cut off, in the head of a request and in its body, and so is one who says nothing.
func TestSlowWriters(t *testing.T) {
	path := start(t, busy(t), control.Options{})
	var all sync.WaitGroup
	for _, begin := range []string{"", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ", "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"} {
		all.Go(func() {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.Write([]byte(begin)); err != nil {
				t.Error(err)
			}
			gone := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, c); gone <- err }()
			for end := time.After(time.Minute); ; {
				select {
				case <-gone:
					return
				case <-end:
					t.Errorf("after %q it still listens", begin)
					return
				case <-time.After(100 * time.Millisecond):
					_, _ = c.Write([]byte(" "))
				}
			}
		})
	}
	all.Wait()
}

// Those who ask and do not read the answers hold up nobody: more of them than have a turn at a time.
func TestSlowReaders(t *testing.T) {
	large := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	path := start(t, busy(t), control.Options{Metrics: large})
	for range 8 {
		c, err := net.Dial("unix", path)
		noErr(t, err)
		defer c.Close()
		_, err = c.Write([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
		noErr(t, err)
		first := make([]byte, 12)
		_, err = io.ReadFull(c, first)
		noErr(t, err)
		if string(first) != "HTTP/1.1 200" {
			t.Fatalf("%q: those before it hold it up", first)
		}
	}
	c, ctx := client(t, path)
	for range 20 {
		_, err := c.Stats(ctx)
		noErr(t, err)
	}
}
