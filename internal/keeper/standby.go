package keeper

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// StandbyEnv is in the environment of a daemon that is to be ready, and to go on when it gets GoOn: the process number of the one
// that serves. Anybody can send a signal, to all processes of a unit, say; GoOn means nothing while that one lives.
const StandbyEnv = "ZSWAPD_STANDBY"

// GoOn is the signal to a standby: the daemon before it is dead.
const GoOn = unix.SIGUSR2

// standbyPause is how long to wait before another standby is started, when one has ended by itself.
const standbyPause = 5 * time.Second

// standby is the next daemon, which is there before it is needed: when the machine has no free memory, because its swap waits for
// a daemon, none could be started. It has copies of all that is in store; if that changes, it is ended, and another one started.
type standby struct {
	*child           // nil: there is none. ready: it has what it takes
	wanted bool      // by the daemon that serves
	last   time.Time // when one was started
}

func (s *standby) is(pid int) bool { return s.child != nil && s.pid == pid }

// ended notes that one has ended by itself.
func (s *standby) ended(c *child) {
	if s.child == c {
		s.child = nil
	}
}

// startStandby starts one if one is wanted, and the daemon that serves is ready.
func (k *keeper) startStandby() {
	s := &k.standby
	if s.child != nil || !s.wanted || k.child == nil || !k.child.ready || k.store.empty() || time.Since(s.last) < standbyPause {
		return
	}
	s.last = time.Now()
	var err error
	if s.child, err = k.spawn(k.program, fmt.Sprintf("%s=%d", StandbyEnv, k.child.pid)); err != nil {
		k.Say(fmt.Sprintf("keeper: start a standby: %v", err))
		s.child = nil
	}
}

// endStandby ends it, and waits: it has copies of locks.
func (k *keeper) endStandby() {
	if c := k.standby.child; c != nil {
		c.signal(unix.SIGKILL)
		<-c.dead
		k.standby.child, k.standby.last = nil, time.Time{}
	}
}

// promote makes the standby the daemon, if it has what it takes.
func (k *keeper) promote() bool {
	c := k.standby.child
	if c == nil || !c.ready {
		return false
	}
	k.standby = standby{}
	c.ready, c.heard = false, time.Now()
	k.child = c
	c.signal(GoOn)
	return true
}
