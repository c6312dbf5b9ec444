package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/control"
)

// onTerminal starts the program on a terminal of its own, of 80 × 24, and returns our end of it and what it prints.
func onTerminal(t *testing.T, args ...string) (c *exec.Cmd, keyboard *os.File, out *journal) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	noErr(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	noErr(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	defer slave.Close()
	resize(t, master, 80, 24)
	c = exec.Command(binary, args...)
	c.Env = append(os.Environ(), "TERM=xterm-256color")
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	noErr(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	out = new(journal)
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			_, _ = out.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	return c, master, out
}

func resize(t *testing.T, master *os.File, width, height uint16) {
	t.Helper()
	noErr(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}))
}

// TestTop watches a daemon under load on a real terminal, which changes its size, presses keys, and leaves the terminal as it
// was.
func TestTop(t *testing.T) {
	s, socket, l := publicService(t)
	c, keyboard, out := onTerminal(t, "top", "--every", "200ms", "--socket", socket)
	// Only what has changed is drawn, so what is looked for are words that were not there before.
	shows := func(words ...string) {
		t.Helper()
		for _, w := range words {
			s.wait("to show "+w, func() bool { return strings.Contains(out.String(), w) })
		}
	}
	press := func(key string) { t.Helper(); _, err := keyboard.WriteString(key); noErr(t, err) }
	shows("\x1b[?1049h", "serving", s.device, "saved", "ratio", "median", "minlz")
	press("c")
	shows("moved")
	press("p")
	shows("PAUSED")
	press("p")
	resize(t, keyboard, 130, 40)
	shows("recompressed")
	resize(t, keyboard, 20, 5)
	press("w")
	shows("writeback")
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL))
	now := s.replaced(was)
	resize(t, keyboard, 100, 30)
	s.wait("to answer", func() bool {
		i, err := control.NewClient(socket).Info(t.Context())
		return err == nil && i.PID == now
	})
	shows("restart")
	l.GoesOn(t)
	press("q")
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		noErr(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	shows("\x1b[?1049l")
	noErr(t, l.Finish())
	s.stop()
	if o := call(t, "top", "--socket", socket); o.code != exitUsage || !strings.Contains(o.errors, "needs a terminal") {
		t.Errorf("without a terminal: exit code %d, %q", o.code, o.errors)
	}
	if c, _, out := onTerminal(t, "top", "--socket", socket); c.Wait() == nil || c.ProcessState.ExitCode() != exitNoDaemon {
		t.Errorf("without a daemon: %v, %q", c.ProcessState, out)
	}
}
