package control

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLive is returned by Start when another daemon answers on the socket.
var ErrLive = errors.New("a zswapd is running")

// listen makes the socket under a name of its own, with its mode and group, and then renames it to path: nobody finds it
// before it is as it should be, and a stale one is replaced in one step. remove removes it, unless somebody else has put his
// own there meanwhile.
func listen(path, group string) (l net.Listener, remove func() error, err error) {
	gid, mode := -1, os.FileMode(0o600)
	if group != "" {
		if gid, err = groupID(group); err != nil {
			return nil, nil, err
		}
		mode = 0o660
	}
	if err := makeDir(filepath.Dir(path), gid); err != nil {
		return nil, nil, fmt.Errorf("the control socket: %w", err)
	}
	if err := stale(path); err != nil {
		return nil, nil, err
	}
	removeDrafts(path)
	draft := draftOf(path, strconv.Itoa(os.Getpid()))
	u, err := net.ListenUnix("unix", &net.UnixAddr{Name: draft, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("the control socket: %w", err)
	}
	u.SetUnlinkOnClose(false)
	own, err := publish(draft, path, gid, mode)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the control socket: %w", err), os.Remove(draft), u.Close())
	}
	return u, func() error {
		if there, err := os.Lstat(path); err != nil || !os.SameFile(there, own) {
			return nil
		}
		return os.Remove(path)
	}, nil
}

// publish gives the socket its owner, its mode and its name. Until the mode is set, who is not its owner is kept out by the
// umask, and who connects all the same may only read.
func publish(draft, path string, gid int, mode os.FileMode) (os.FileInfo, error) {
	if err := os.Chown(draft, -1, gid); err != nil {
		return nil, err
	}
	if err := os.Chmod(draft, mode); err != nil {
		return nil, err
	}
	own, err := os.Lstat(draft)
	if err != nil {
		return nil, err
	}
	return own, os.Rename(draft, path)
}

// makeDir makes the folder of the socket. If it is ours alone, the group gets passage through it, without a look around.
func makeDir(dir string, gid int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil || gid < 0 {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode().Perm() != 0o700 || int(st.Uid) != os.Geteuid() {
		return nil // somebody has set it up
	}
	if err := os.Chown(dir, -1, gid); err != nil {
		return err
	}
	return os.Chmod(dir, 0o710)
}

// stale returns nil if nothing is at path, or a socket that nobody listens to.
func stale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the control socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("the control socket: %s is there and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil { // EAGAIN: it has a listener, who is busy
		return fmt.Errorf("%w: %s has a listener: %w", ErrLive, path, err)
	}
	defer c.Close()
	who := ""
	if p, err := peerOf(c); err == nil {
		who = fmt.Sprintf(" (process %d)", p.pid)
	}
	return fmt.Errorf("%w%s: it answers on %s", ErrLive, who, path)
}

// draftOf names the socket that a process makes for path until it is as it should be.
func draftOf(path, pid string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+pid)
}

// removeDrafts removes those of processes that were killed before they gave them their name.
func removeDrafts(path string) {
	drafts, _ := filepath.Glob(draftOf(path, "*"))
	for _, draft := range drafts {
		if stale(draft) == nil {
			_ = os.Remove(draft)
		}
	}
}

// RemoveStale removes the socket of a daemon that was killed, and what it had begun of one. Anything else at path stays.
func RemoveStale(path string) error {
	removeDrafts(path)
	if _, err := os.Lstat(path); err != nil || stale(path) != nil {
		return nil
	}
	return os.Remove(path)
}

// IsGroupID reports whether a group is given by its number.
func IsGroupID(group string) bool {
	n, err := strconv.ParseUint(group, 10, 32)
	return err == nil && n != 1<<32-1 // that one means none
}

func groupID(group string) (int, error) {
	if IsGroupID(group) {
		return strconv.Atoi(group)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("the group of the control socket, %q: there is none; addgroup --system %s makes it", group, group)
	}
	return strconv.Atoi(g.Gid)
}

// listenLoopback listens to TCP on a loopback address.
func listenLoopback(addr string) (net.Listener, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("metrics over TCP on %q: want an address and a port, such as 127.0.0.1:9101: %w", addr, err)
	}
	if !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("metrics over TCP on %q: only loopback addresses are offered; put a proxy before it for others", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics over TCP: %w", err)
	}
	return l, nil
}
