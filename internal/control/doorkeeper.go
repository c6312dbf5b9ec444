package control

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a connection, as the kernel saw him when he connected.
type peer struct {
	pid int32
	uid int64 // -1: over TCP nobody knows
}

// peerKey is the key of the peer in a request's context.
type peerKey struct{}

// master reports whether he may change something.
func (p peer) master() bool { return p.uid == 0 || p.uid >= 0 && p.uid == int64(os.Geteuid()) }

func peerOf(c net.Conn) (peer, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{uid: -1}, nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("who is there: %w", err)
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return peer{}, fmt.Errorf("who is there: %w", err)
	}
	return peer{cred.Pid, int64(cred.Uid)}, nil
}

// doorkeeper is a listener that lets in only so many, and leaves room for root.
type doorkeeper struct {
	net.Listener
	mu   sync.Mutex    // guards what follows
	in   map[int64]int // connections by user
	root int           // connections of masters
	all  int           // connections of others
}

func newDoorkeeper(l net.Listener) *doorkeeper {
	return &doorkeeper{Listener: l, in: map[int64]int{}}
}

// Accept returns the next one who is let in. The others find their connection closed: to tell them why would take waiting for
// what they ask.
func (k *doorkeeper) Accept() (net.Conn, error) {
	for {
		c, err := k.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(c)
		if err == nil && k.admit(p) {
			return &guest{Conn: c, peer: p, keeper: k}, nil
		}
		_ = c.Close()
	}
}

func (k *doorkeeper) admit(p peer) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.master() {
		if k.root >= maxConnsRoot {
			return false
		}
		k.root++
		return true
	}
	if k.all >= maxConnsOthers || p.uid >= 0 && k.in[p.uid] >= maxConnsOfOne {
		return false
	}
	k.all++
	k.in[p.uid]++
	return true
}

func (k *doorkeeper) leave(p peer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.master() {
		k.root--
		return
	}
	k.all--
	if k.in[p.uid]--; k.in[p.uid] == 0 {
		delete(k.in, p.uid)
	}
}

// guest is a connection that was let in.
type guest struct {
	net.Conn
	peer   peer
	keeper *doorkeeper
	once   sync.Once
}

// Close closes the connection.
func (g *guest) Close() error {
	g.once.Do(func() { g.keeper.leave(g.peer) })
	return g.Conn.Close()
}
