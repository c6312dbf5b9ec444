package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/zpool"
)

// CheckCommand is the hidden first argument of a program that is to say whether it could take over from us.
const CheckCommand = "__check-store"

// checkLimit is how long it may take for that, and checkDelay, how long what it has started may have its output after its end.
const (
	checkLimit = 30 * time.Second
	checkDelay = time.Second
)

// Descriptors of such a program.
const (
	checkStoreFD = 3
	checkSavedFD = 4
)

// upgrade decides to hand over to another program, or to our own file anew: "". It is first asked whether it can read our store;
// if not, we go on as before. The loop hands over when whoever asked has got his answer.
func (d *Daemon) upgrade(program string) error {
	if err := d.canHandOver(); err != nil {
		return err
	}
	self, err := selfPath()
	switch {
	case program == "" && err != nil:
		return err
	case program == "":
		program = self
	case program != self && d.o.Keeper == 0:
		return fmt.Errorf("systemd starts %s whatever we say: put the new program there, and try again without --binary", self)
	}
	version, err := d.check(program)
	if err != nil {
		return fmt.Errorf("%s cannot take over, so this one goes on: %w", program, err)
	}
	d.log.Info(fmt.Sprintf("%s, %s, can read the store", program, version))
	if d.o.Keeper != 0 { // it must know which one was asked, or it could start another, or leave that to systemd
		if err := d.o.Manager.Notify(sdnotify.Binary(program)); err != nil {
			return err
		}
	}
	_, _ = d.reload() // what a successor goes by
	d.leaving = true
	return nil
}

// check runs a program beside us to see whether it can read the store, and returns its version.
func (d *Daemon) check(program string) (version string, err error) {
	return ask(program, d.pool.File(), d.saved.f)
}

// ask runs a program that is to check what it gets, and returns its version. The loop waits for it, and it has the store: so what it
// leaves behind is killed, and does not keep us waiting.
func ask(program string, store, saved *os.File) (version string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
	defer cancel()
	c := exec.CommandContext(ctx, program, CheckCommand)
	c.ExtraFiles = []*os.File{checkStoreFD - 3: store, checkSavedFD - 3: saved}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) }
	c.Cancel, c.WaitDelay = group, checkDelay
	out := head{most: askMost}
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	if c.Process != nil {
		_ = group()
	}
	text := strings.TrimSpace(string(out.text))
	switch {
	case err != nil && text == "":
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w: %s", err, text)
	}
	version, ok := strings.CutPrefix(text, checkedPrefix)
	if !ok {
		return "", fmt.Errorf("it does not say what it should, but %.200q", text)
	}
	return version, nil
}

// askMost is how many bytes of what a program says are read: this process cannot afford more than it needs.
const askMost = 4096

// head keeps the first bytes that are written to it.
type head struct {
	text []byte
	most int
}

func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(len(b), h.most-len(h.text))]...)
	return len(b), nil
}

const checkedPrefix = "can take over: "

// Check is what a program does that was started with CheckCommand.
func Check(version string) error {
	before, err := readSaved(checkSavedFD)
	if err != nil {
		return err
	}
	c, _, err := before.config()
	if err != nil {
		return err
	}
	store, err := zpool.Prepare(os.NewFile(checkStoreFD, door.StoreHandle), poolOptions(c))
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	fmt.Println(checkedPrefix + version)
	return nil
}

// selfPath returns the path of the running program, where its successor may be by now.
func selfPath() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	path = strings.TrimSuffix(path, " (deleted)")
	if err := unix.Access(path, unix.X_OK); err != nil {
		return "", errors.Join(&os.PathError{Op: "execute", Path: path, Err: err})
	}
	return path, nil
}
