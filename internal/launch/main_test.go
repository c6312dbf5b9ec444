package launch

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/guard"
)

// childMode makes the test binary play a part in a test.
const childMode = "ZSWAPD_TEST_CHILD"

func TestMain(m *testing.M) {
	Main() // the shim of Start is this binary
	switch os.Getenv(childMode) {
	case "":
		os.Exit(m.Run())
	case "parent": // starts a command, tells its process number, waits to be killed
		os.Unsetenv(childMode)
		p, err := Start(Spec{Args: []string{"sleep", "60"}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		time.Sleep(time.Minute)
	case "run": // what a front end does: runs its arguments, ends as they do
		os.Unsetenv(childMode)
		NeverStop()
		signal.Notify(make(chan os.Signal, 1), unix.SIGINT) // for one that comes when Relay no longer looks
		p, err := Start(Spec{Args: os.Args[1:]})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		stop := p.Relay()
		fmt.Println("relaying")
		s, _ := p.Wait()
		stop()
		fmt.Println("ended", s.Code)
		os.Exit(s.Code)
	case "show": // tells the state that a command sees
		os.Unsetenv(childMode)
		show()
	}
}

// show prints what a command finds: signals, protections, descriptors.
func show() {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "SigIgn") || strings.HasPrefix(line, "SigBlk") {
			fmt.Print(line)
		}
	}
	for _, s := range guard.Check() {
		fmt.Println(s)
	}
	fmt.Println("tstp ignored", signal.Ignored(unix.SIGTSTP))
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(to, "pipe:") && e.Name() > "2" && len(e.Name()) == 1 { // ours would be low
			fmt.Println("a pipe came along:", e.Name())
		}
	}
}
