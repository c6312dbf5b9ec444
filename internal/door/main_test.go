package door

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/swaptest"
	"github.com/zswapd/zswapd/internal/workload"
)

// Parts that this binary plays as a child, by its first argument.
const (
	serverPart   = "__serve"
	workloadPart = "__workload"
)

func TestMain(m *testing.M) {
	launch.Main()
	swapdev.Main()
	wholeMain()
	if len(os.Args) > 1 && os.Args[1] == serverPart {
		finish(serve(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == workloadPart {
		finish(workload.Serve(context.Background(), os.Stdin, os.Stdout))
	}
	if whole != nil {
		_, unprotected = guard.Protect(guard.Options{SkipIOFlusher: whole.without("io-flusher")})
	}
	flag.Parse()
	os.Setenv(kindEnv, *kindFlag)
	unlock := swaptest.Lock()
	if os.Geteuid() == 0 { // a keeper that waits for a page waits for a server that only it can start
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
			fmt.Fprintln(os.Stderr, "warning: memory is not locked:", err)
		}
	}
	cleanStates(stateRoot + "/*")
	code := m.Run()
	unlock()
	os.Exit(code)
}

func finish(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	os.Exit(0)
}

// stateRoot is where tests of all packages keep records, so that tests that were killed in the middle are cleaned after
// by the next ones.
const stateRoot = "/run/zswapd-test"

func cleanStates(pattern string) {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		panic(err)
	}
	for _, dir := range dirs {
		if report, err := swapdev.Clean(context.Background(), dir, swapdev.CleanOptions{}); len(report) > 0 || err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v, %v\n", dir, report, err)
		}
		if left, _ := swapdev.Records(dir); slices.ContainsFunc(left, func(f swapdev.Found) bool { return f.Owned }) {
			continue // of a service that has outlived its test: without the folder no successor could go on with its device
		}
		os.RemoveAll(dir)
	}
}

// kindFlag says what the doors of most tests are made of.
var kindFlag = flag.String("door", string(FUSE), "kind of door: fuse or ublk")

// kindEnv hands it to servers, and kind reads it.
const kindEnv = "ZSWAPD_TEST_DOOR"

func kind() Kind {
	if k := os.Getenv(kindEnv); k != "" {
		return Kind(k)
	}
	return Kind(*kindFlag)
}

// deviceIn returns the swap device that a record names.
func deviceIn(r swapdev.Record) string { return cmp.Or(r.Loop, r.UBLK) }

// newState returns an empty folder for the record of one test.
func newState(t *testing.T) string {
	t.Helper()
	noErr(t, os.MkdirAll(stateRoot, 0o700))
	dir, err := os.MkdirTemp(stateRoot, "")
	noErr(t, err)
	t.Cleanup(func() { cleanStates(dir) })
	return dir
}

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 = a new one")

func newRand(t *testing.T) *rand.Rand {
	n := *seedFlag
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("go test -run %s -seed=%d", t.Name(), n)
	return rand.New(rand.NewPCG(n, 0))
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal("real swap needs root, and ZSWAPD_TEST_ROOT=required")
	}
	t.Skip("real swap needs root")
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails the test if something that a record named is still there.
func nothingLeft(t *testing.T, r swapdev.Record) {
	t.Helper()
	if swaps, _ := os.ReadFile("/proc/swaps"); deviceIn(r) != "" && strings.Contains(string(swaps), deviceIn(r)+" ") {
		t.Errorf("swap on %s is still on", deviceIn(r))
	}
	if _, err := os.Stat(r.Cgroup); r.Cgroup != "" && err == nil {
		t.Errorf("the cgroup %s is still there", r.Cgroup)
	}
	if _, err := os.Stat(r.UBLK); r.UBLK != "" && err == nil {
		t.Errorf("%s is still there", r.UBLK)
	}
	if r.Loop == "" {
		return
	}
	if d, err := swapdev.Find(r.Loop, r.Tag); !errors.Is(err, swapdev.ErrForeign) {
		t.Errorf("%s is still attached: %v", r.Loop, err)
		if err == nil {
			_ = d.Release()
		}
	}
}

// emptyState fails the test if there are records in the folder.
func emptyState(t *testing.T, state string) {
	t.Helper()
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("left in the state folder: %v, %v", left, err)
	}
}
