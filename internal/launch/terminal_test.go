package launch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal starts the "run" part with these arguments on a terminal of its own and returns our end and what it prints.
func terminal(t *testing.T, args ...string) (*exec.Cmd, *os.File, *bufio.Scanner) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	defer slave.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childMode+"=run")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop(); _ = cmd.Process.Kill() })
	return cmd, master, bufio.NewScanner(master)
}

// until reads lines up to one that contains the text.
func until(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	var seen []string
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("%q never came: %q", text, seen)
}

func TestTerminal(t *testing.T) {
	const script = `trap 'echo interrupted; exit 5' INT; echo ready; while :; do read line && echo got $line; done`
	cmd, keys, lines := terminal(t, "sh", "-c", script)
	until(t, lines, "ready")
	fmt.Fprintln(keys, "hello")
	until(t, lines, "got hello")
	_, _ = keys.Write([]byte{26}) // Ctrl-Z: stops the command for a moment, us never
	time.Sleep(100 * time.Millisecond)
	fmt.Fprintln(keys, "again")
	until(t, lines, "got again")
	_, _ = keys.Write([]byte{3, '\n'}) // Ctrl-C: the command's to deal with, once; the line ends a read that began just after it
	until(t, lines, "interrupted")
	_ = cmd.Wait() // what it prints last is lost: the terminal hangs up with its session leader
	if cmd.ProcessState.ExitCode() != 5 {
		t.Error(cmd.ProcessState)
	}
}

// TestRelay: without a terminal in the foreground, what is sent to us goes to the command.
func TestRelay(t *testing.T) {
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1} {
		if signal.Ignored(s) { // under nohup, say: then a shell cannot trap it
			continue
		}
		cmd := exec.Command("/proc/self/exe", "sh", "-c", `trap 'exit 9' TERM INT HUP USR1; echo ready; while :; do sleep 0.02; done`)
		cmd.Env = append(os.Environ(), childMode+"=run")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		until(t, lines, "r") // ready and relaying, the one or the other first
		until(t, lines, "r")
		_ = cmd.Process.Signal(s)
		until(t, lines, "ended 9")
		_ = cmd.Wait()
		timer.Stop()
	}
}
