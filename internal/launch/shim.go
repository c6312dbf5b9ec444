package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/guard"
)

// statusFile is the shim's end of the pipe.
const statusFile = 3

var shimReady atomic.Bool

// Main must be called first in main(). In a process that is a shim it executes the command, or reports why not, and
// does not return; in any other it returns at once, having noted that shims can be started.
func Main() {
	if len(os.Args) > 1 && os.Args[1] == Command {
		ExecShim(os.Args[2:])
	}
	inherited()
	shimReady.Store(true)
}

// ExecShim is the child's side of Start. It does not return.
func ExecShim(args []string) {
	runtime.LockOSThread() // the death signal and the io-flusher flag belong to the thread that executes
	unix.CloseOnExec(statusFile)
	var o order
	if len(args) < 3 || args[1] != "--" || json.Unmarshal([]byte(args[0]), &o) != nil {
		fail(CodeCannotRun, fmt.Sprintf("%s is for internal use", Command))
	}
	if err := prepare(o); err != nil {
		fail(CodeCannotRun, err.Error())
	}
	fail(execute(args[2:], os.Environ()))
}

func fail(code int, reason string) {
	reason = strings.ReplaceAll(reason, "\n", "; ")
	if _, err := fmt.Fprintf(os.NewFile(statusFile, "status"), "%d %s", code, reason); err != nil {
		fmt.Fprintln(os.Stderr, reason) // a person called us
	}
	os.Exit(code)
}

func prepare(o order) error {
	if o.Join != "" {
		if err := join(o.Join); err != nil {
			return fmt.Errorf("cannot join the cgroup: %w", err)
		}
	}
	if o.Undo != "" {
		before, err := guard.ParseBefore(o.Undo)
		if err != nil {
			return err
		}
		if err := guard.Undo(before); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("cannot ask to die with the parent: %w", err)
	}
	if unix.Getppid() != o.Parent { // it died before we asked
		os.Exit(CodeCannotRun)
	}
	restoreSignals(o.Ignored)
	return nil
}

// join moves this process into the group: 0 stands for whoever writes.
func join(procs string) error {
	f, err := os.OpenFile(procs, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("0")
	return errors.Join(err, f.Close())
}

// execute replaces this process. It returns only if that fails: why, with a shell's exit code.
func execute(args, env []string) (code int, reason string) {
	name := args[0]
	if strings.ContainsRune(name, '/') {
		return explain(name, unix.Exec(name, args, env))
	}
	code, reason = CodeNotFound, name+": command not found"
	for _, dir := range strings.Split(searchPath(env), ":") {
		if dir == "" {
			dir = "."
		}
		path := dir + "/" + name
		err := unix.Exec(path, args, env)
		if _, missing := os.Stat(path); missing != nil {
			continue // not in this folder
		}
		// It is there. Like a shell, look on for another one, but remember why this one does not do.
		if code == CodeNotFound {
			code, reason = explain(path, err)
		}
	}
	return code, reason
}

// explain turns the error of an execve into an exit code and a line.
func explain(path string, err error) (code int, reason string) {
	info, missing := os.Stat(path)
	switch {
	case errors.Is(missing, os.ErrNotExist), errors.Is(missing, syscall.ENOTDIR):
		return CodeNotFound, path + ": no such file"
	case missing == nil && info.IsDir():
		return CodeCannotRun, path + ": is a directory"
	case errors.Is(err, unix.ENOENT):
		return CodeCannotRun, path + ": its interpreter (first line, or loader) does not exist"
	case errors.Is(err, unix.ENOEXEC):
		return CodeCannotRun, path + ": neither a program nor a script with a #! line"
	case errors.Is(err, unix.E2BIG):
		return CodeCannotRun, path + ": too many arguments or too large an environment"
	}
	return CodeCannotRun, fmt.Sprintf("%s: %v", path, err)
}

func searchPath(env []string) string {
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	return path
}
