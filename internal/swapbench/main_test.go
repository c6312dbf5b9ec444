package swapbench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/swaptest"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/internal/zram"
)

// What this binary does in the place of the built-in workload.
const (
	serve = "__serve"
	wrong = "__wrong" // tells of a page that came back wrong
	hog   = "__hog"   // locks more memory than there is
)

func TestMain(m *testing.M) {
	launch.Main()
	swapdev.Main()
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case serve:
			if workload.Serve(context.Background(), os.Stdin, os.Stdout) != nil {
				os.Exit(1)
			}
			os.Exit(0)
		case wrong:
			fmt.Println(`{"result":{"failures":1,"first_failure":{"page":7,"reason":"wrong"}}}`)
			os.Exit(1)
		case hog:
			mem, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			fmt.Fprintln(os.Stderr, "not killed:", err, unix.Mlock(mem))
			os.Exit(1)
		}
	}
	unlock := swaptest.Lock()
	code := m.Run()
	unlock()
	os.Exit(code)
}

// options are a measurement of a second, with what is said of it.
func options(t *testing.T, self string) (*Options, *bytes.Buffer) {
	said := new(bytes.Buffer)
	return &Options{
		Workload: "random", Memory: 16 << 20, Size: 32 << 20, Swap: 128 << 20, Duration: 300 * time.Millisecond, Rounds: 1,
		Hold: HoldAuto, PageCluster: LeavePageCluster, Compressor: compressor.Default, Seed: 1, SwapDir: ".",
		State: t.TempDir(), Self: []string{"/proc/self/exe", self}, Progress: io.MultiWriter(said, t.Output()),
	}, said
}

func needSwap(t *testing.T) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "real swap needs root"
	} else if _, err := zram.Algorithms(); err != nil {
		why = err.Error()
	} else if err := swaptest.Alone(); err != nil {
		why = err.Error()
	}
	switch {
	case why == "":
	case os.Getenv("ZSWAPD_TEST_ROOT") == "required":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
