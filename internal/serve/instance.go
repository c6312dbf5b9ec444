package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// instance is the lock by which one daemon has a state folder. It is held as long as any process has a copy of its
// descriptor: the manager's keeps it between two daemons.
type instance struct{ f *os.File }

const instanceName = "serve.lock"

// ErrHeld: another daemon has the state folder.
var ErrHeld = errors.New("another daemon serves already")

// lockInstance takes the lock, or says who has it.
func lockInstance(dir string) (*instance, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := swapdev.CheckDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, instanceName)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			text, _ := os.ReadFile(path)
			err = fmt.Errorf("%w: %s (state folder %s). It goes on; to replace it use zswapd restart, to end it zswapd stop",
				ErrHeld, strings.TrimSpace(string(text)), dir)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		mine, err1 := f.Stat()
		named, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return &instance{f}, nil
		}
		_ = f.Close() // it was removed by one that just ended
	}
}

// note says who has the lock, for people.
func (i *instance) note(text string) {
	_ = i.f.Truncate(0)
	_, _ = i.f.WriteAt([]byte(text+"\n"), 0)
}

// remove gives the lock up for good.
func (i *instance) remove() error {
	if i == nil {
		return nil
	}
	err := os.Remove(i.f.Name())
	if errors.Is(err, os.ErrNotExist) { // somebody was faster
		err = nil
	}
	return errors.Join(err, i.f.Close())
}

// adoptInstance goes on with the lock of a predecessor.
func adoptInstance(fd int, dir string) *instance {
	return &instance{os.NewFile(uintptr(fd), filepath.Join(dir, instanceName))}
}
