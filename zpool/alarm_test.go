package zpool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Whoever wants to know that a pool fills up knows it when the first page is refused, however fast that comes, however little of
// the limit is in use because the rest is kept ready for others, and whatever the background is busy with.
func TestAlarmBeforeRefusal(t *testing.T) {
	for name, o := range map[string]Options{
		"least":        {MaxBytes: MinBytes},
		"small":        {MaxBytes: 8 << 20},
		"reserve":      {MaxBytes: 12 << 20, ReserveBytes: 12 << 20 / 8},
		"less to use":  {MaxBytes: 12 << 20, ReserveBytes: 4 << 20, RecompressCodec: "none"},
		"small, bare":  {MaxBytes: 8 << 20, RecompressCodec: "none"},
		"small frames": {MaxBytes: 4 << 20, ChainSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var told []int
			o.Slots, o.IdleAfter = 20_000, time.Hour
			o.Background = &Background{Warn: func(percent int, _ int64) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, percent)
			}}
			p := newTestPool(t, o)
			p.tiers.mu.Lock() // a long step
			defer p.tiers.mu.Unlock()
			w, page, r := p.NewWorker(), make([]byte, PageSize), rand.New(rand.NewPCG(1, 2))
			for slot := uint64(0); ; {
				for i := range page {
					page[i] = byte(r.Uint32())
				}
				err := w.Store(slot, page)
				if err == ErrFull {
					break
				}
				if errors.Is(err, ErrNoMemory) { // the reserve's thread cannot keep up with us
					time.Sleep(time.Millisecond)
					continue
				}
				noErr(t, err)
				if slot++; p.zs.InUse()*100 > o.MaxBytes*(levels[0]+5) && p.tiers.alarm.count[0].Load() == 0 {
					t.Fatalf("%d of %d bytes are in use, and nobody knows", p.zs.InUse(), o.MaxBytes)
				}
			}
			for i, percent := range levels {
				if n := p.tiers.alarm.count[i].Load(); n != 1 {
					t.Errorf("%d %% was reached %d times before the first page was refused", percent, n)
				}
			}
			t.Logf("%d %% were in use", p.zs.InUse()*100/o.MaxBytes)
			waitFor(t, "it is told", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return slices.Equal(told, []int{80, 95})
			})
		})
	}
}

// A level is told once until 5 % less is used than when it was reached; a refusal reaches all.
func TestAlarmLevels(t *testing.T) {
	var a alarm
	told := make(chan int, 100)
	a.start(func(percent int, _ int64) { told <- percent })
	look := func(used int64) { a.look(used, 1000); a.lower(used, 1000) }
	for _, step := range []struct {
		do   func()
		want []int
	}{
		{func() { look(799) }, nil},
		{func() { look(800); look(810); look(760); look(949) }, []int{80}},
		{func() { look(950); look(901); look(999) }, []int{95}},
		{func() { look(899); look(940) }, nil}, // the higher one is left behind
		{func() { look(960) }, []int{95}},
		{func() { look(700) }, nil},
		{func() { look(990) }, []int{80, 95}},
		{func() { look(700) }, nil},
		{func() { a.refused(600, 1000); look(600); look(560); a.refused(560, 1000) }, []int{80, 95}}, // the rest is ready for others
		{func() { look(549) }, nil},
		{func() { a.look(900, 1000); a.lower(900, 4000); a.look(3200, 4000) }, []int{80, 80}}, // another limit
	} {
		step.do()
		var got []int
		for range step.want {
			got = append(got, <-told)
		}
		if !slices.Equal(got, step.want) {
			t.Fatalf("%v, want %v", got, step.want)
		}
	}
	a.halt()
	a.halt()
	if a.refused(1000, 1000); len(told) > 0 {
		t.Error("told more: ", fmt.Sprint(<-told))
	}
}

// What stores ask it costs no allocation, also when it is to be told.
func TestAlarmAllocatesNothing(t *testing.T) {
	var a alarm
	a.start(nil)
	defer a.halt()
	if n := testing.AllocsPerRun(1000, func() { a.look(96, 100); a.refused(96, 100); a.lower(0, 100) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
