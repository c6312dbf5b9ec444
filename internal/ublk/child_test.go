package ublk

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childPart makes this binary a server: "create", or "recover NUMBER" with the name of a step at which it kills itself, if any.
// Its pages are in the file 3.
const childPart = "ZSWAPD_TEST_UBLK_CHILD"

const (
	childPages = 4096
	childTag   = 0x1234567890abcdef
)

// fileStore keeps pages in a file.
type fileStore struct {
	fd   int
	hold uint64 // a store of this page takes long, of the next one for ever
}

func (f fileStore) Load(first uint64, dst []byte) error {
	_, err := unix.Pread(f.fd, dst, int64(first)<<pageShift)
	return err
}

func (f fileStore) Store(first uint64, src []byte) error {
	switch {
	case f.hold == 0:
	case first == f.hold:
		time.Sleep(time.Second)
	case first > f.hold:
		time.Sleep(time.Hour)
	}
	_, err := unix.Pwrite(f.fd, src, int64(first)<<pageShift)
	return err
}

func (f fileStore) Invalidate(first, n uint64) error {
	return unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(first)<<pageShift, int64(n)<<pageShift)
}

func child(part string) {
	f := strings.SplitN(part, " ", 3)
	store := fileStore{fd: 3}
	if hold := os.Getenv("ZSWAPD_TEST_UBLK_HOLD"); hold != "" {
		store.hold, _ = strconv.ParseUint(hold, 10, 64)
	}
	if len(f) > 2 {
		step = func(name string) {
			if name == f[2] {
				_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
				time.Sleep(time.Hour)
			}
		}
	}
	s, err := New(Config{Pages: childPages, NewStore: func() Store { return store }})
	if err == nil {
		if f[0] == "create" {
			err = s.Create(childTag, nil)
		} else {
			number, _ := strconv.Atoi(f[1])
			err = s.Recover(number)
		}
	}
	fmt.Println("serves", s.Number(), err)
	if err != nil {
		os.Exit(1)
	}
	time.Sleep(time.Hour)
}

// served is a child that serves.
type served struct {
	cmd  *exec.Cmd
	line string // what it said: "" if it was killed before
}

func serve(t *testing.T, pages *os.File, part, hold string) *served {
	t.Helper()
	c := &served{cmd: exec.Command("/proc/self/exe")}
	c.cmd.Env = append(os.Environ(), childPart+"="+part, "ZSWAPD_TEST_UBLK_HOLD="+hold)
	c.cmd.ExtraFiles = []*os.File{pages}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	noErr(t, err)
	noErr(t, c.cmd.Start())
	c.line, _ = bufio.NewReader(out).ReadString('\n')
	return c
}

// number returns the device that it serves.
func (c *served) number(t *testing.T) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(c.line, "serves %d <nil>", &n); err != nil {
		t.Fatalf("a server says %q", c.line)
	}
	return n
}

// kill kills it, and waits until its last thread is gone.
func (c *served) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// remove takes the device away that a test has left.
func remove(t *testing.T, number int) {
	t.Helper()
	s, err := New(Config{Pages: 1, NewStore: func() Store { return nothing{} }})
	noErr(t, err)
	got, _, err := s.Find(Path(number), childTag)
	if errors.Is(err, ErrForeign) {
		noErr(t, s.Close())
		return
	}
	noErr(t, err)
	noErr(t, s.Remove(got))
	gone(t, number)
}

// gone fails the test if there is a device of that number.
func gone(t *testing.T, number int) {
	t.Helper()
	c, err := openControl()
	noErr(t, err)
	defer c.close()
	if i, err := c.info(number); err != unix.ENODEV {
		t.Errorf("device %d is still there: %+v, %v", number, i, err)
	}
	if _, err := os.Stat(Path(number)); err == nil {
		t.Errorf("%s is still there", Path(number))
	}
}

// limitRequests leaves a tag that no request can have, as the door does.
func limitRequests(t *testing.T, number int) {
	t.Helper()
	noErr(t, os.WriteFile(fmt.Sprintf("/sys/block/ublkb%d/queue/nr_requests", number), fmt.Append(nil, DefaultDepth), 0))
}
