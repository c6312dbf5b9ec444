package capture

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/zswapd/zswapd/internal/capturetest"
)

func TestMain(m *testing.M) {
	systemMain()
	capturetest.Main()
	os.Exit(m.Run())
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scan is Scan of processes that are there.
func scan(t testing.TB, all bool, pids ...int) *Population {
	t.Helper()
	pop, err := Scan(t.Context(), pids, Options{All: all})
	noErr(t, err)
	t.Cleanup(pop.Close)
	return pop
}

// sample returns the pages of a sample, run by run.
func sample(t testing.TB, pop *Population, most int64, seed uint64) (runs [][]byte) {
	t.Helper()
	noErr(t, pop.Sample(context.Background(), most, seed, func(run []byte) error {
		runs = append(runs, bytes.Clone(run))
		return nil
	}))
	return runs
}

// found counts the pages of regions that are among the pages of some memory: sort, number, times.
func found(t testing.TB, mem []byte) map[string]map[int]int {
	t.Helper()
	if len(mem)%PageSize != 0 {
		t.Errorf("%d bytes are no whole pages", len(mem))
	}
	all := map[string]map[int]int{}
	for ; len(mem) >= PageSize; mem = mem[PageSize:] {
		if sort, i, ok := capturetest.Find(mem[:PageSize]); ok {
			if all[sort] == nil {
				all[sort] = map[int]int{}
			}
			all[sort][i]++
		}
	}
	return all
}
