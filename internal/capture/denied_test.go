package capture

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/capturetest"
)

const deniedMode = "ZSWAPD_TEST_DENIED"

// Root of a container may not look at processes outside: one is an error, one among others is counted.
func TestDenied(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:10")
	self, err := os.Executable()
	noErr(t, err)
	c := exec.Command(self, "-test.run", "^TestDeniedInNamespace$", "-test.v")
	c.Env = append(os.Environ(), deniedMode+"="+strconv.Itoa(child.PID()))
	root := []syscall.SysProcIDMap{{Size: 1}}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: root, GidMappings: root, Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "looked at it from inside") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDeniedInNamespace(t *testing.T) {
	outside, err := strconv.Atoi(os.Getenv(deniedMode))
	if err != nil {
		t.Skip("only in the process of TestDenied")
	}
	noErr(t, Allowed())
	if _, err := Scan(t.Context(), []int{outside, 1 << 30}, Options{}); err == nil || !strings.Contains(err.Error(), "not even root") {
		t.Errorf("a process outside: %v", err)
	}
	inside := capturetest.Start(t, "plain:10")
	if pop := scan(t, false, outside, inside.PID()); pop.Denied != 1 || len(pop.Processes) != 1 || pop.Pages < 10 {
		t.Errorf("%+v", pop)
	}
	fmt.Println("looked at it from inside")
}
