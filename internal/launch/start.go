package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Command is the hidden first argument of the shim.
const Command = "__exec"

// Exit codes, as shells have them.
const (
	CodeCannotRun = 126 // it was found but cannot be executed, or we could not prepare for it
	CodeNotFound  = 127
	codeSignal    = 128 // plus the number of the signal that ended it
)

// Spec says what to start.
type Spec struct {
	Args []string    // the command and its arguments; it is looked up in PATH of Env
	Env  []string    // nil: ours
	Dir  string      // "": ours
	Std  [3]*os.File // input, output, errors; nil: ours
	Join string      // a cgroup.procs file: cgroup.Group.ProcsFile; "": stay
	Undo string      // guard.Before.String; "": nothing to undo
}

// Error says in one line why the command does not run.
type Error struct {
	Code   int // CodeCannotRun or CodeNotFound
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// order is what the shim is told, as its second argument.
type order struct {
	Parent  int
	Ignored uint64 // signals to ignore, bit 0 is signal 1: as we found them when we were started
	Join    string `json:",omitempty"`
	Undo    string `json:",omitempty"`
}

// Start starts the command and returns when it has been executed, or with an *Error that says why not.
func Start(s Spec) (*Process, error) {
	if !shimReady.Load() {
		panic("launch: Start without Main: there is no shim")
	}
	if len(s.Args) == 0 || s.Args[0] == "" {
		return nil, &Error{CodeNotFound, "no command given"}
	}
	if s.Dir != "" {
		if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
			return nil, &Error{CodeCannotRun, s.Dir + ": no such directory"}
		}
	}
	text, err := json.Marshal(order{Parent: os.Getpid(), Ignored: inherited(), Join: s.Join, Undo: s.Undo})
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	attr := syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Files: files(s, w), Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	if attr.Env == nil {
		attr.Env = os.Environ()
	}
	args := append([]string{os.Args[0], Command, string(text), "--"}, s.Args...)
	pid, err := fork("/proc/self/exe", args, &attr)
	_ = w.Close()
	runtime.KeepAlive(s)
	if err != nil {
		return nil, &Error{CodeCannotRun, "cannot start ourselves as the command's shim: " + err.Error()}
	}
	p := &Process{pid: pid}
	word, err := io.ReadAll(io.LimitReader(r, 4096))
	if len(word) == 0 && err == nil {
		return p, nil
	}
	_, _ = p.Wait()
	return nil, errors.Join(failure(string(word)), err)
}

// failure reads the shim's "CODE reason".
func failure(word string) error {
	code, reason, _ := strings.Cut(word, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		return &Error{CodeCannotRun, fmt.Sprintf("the command's shim says %q", word)}
	}
	return &Error{n, reason}
}

func files(s Spec, status *os.File) []uintptr {
	std := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i, f := range s.Std {
		if f != nil {
			std[i] = f
		}
	}
	return []uintptr{std[0].Fd(), std[1].Fd(), std[2].Fd(), status.Fd()}
}

// forker is the thread that all commands are children of.
var forker struct {
	once sync.Once
	work chan func()
}

// fork starts a program from the thread that stays until we end: the program's wish to die with its parent is
// tied to that thread.
func fork(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	forker.once.Do(func() {
		forker.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range forker.work { // never closed
				f()
			}
		}()
	})
	done := make(chan struct{})
	forker.work <- func() {
		pid, err = syscall.ForkExec(path, args, attr)
		close(done)
	}
	<-done
	return pid, err
}
