package zsmalloc

import (
	"errors"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
)

// Malloc never asks the system for memory: when the thread that does gets none, what is in reserve is given out, and then
// Malloc is refused.
func TestReserveIsAllThatMallocTakes(t *testing.T) {
	p := newTestPool(t, Options{}, 64<<20)
	gate := make(chan bool)
	noErr(t, p.StartReserve(ReserveOptions{Frames: 2048, Thread: func() { <-gate }}))
	used := p.a.Budget().Used()
	var all []object
	for i := 0; ; i++ {
		size := 600 * (1 + i%6)
		o, err := put(p, uint64(i), size)
		if err != nil {
			if !errors.Is(err, ErrReserve) || !errors.Is(err, ErrNoSpace) {
				t.Fatal(err)
			}
			break
		}
		all = append(all, o)
	}
	if len(all) < 100 {
		t.Errorf("only %d objects came out of a reserve of 2048 frames", len(all))
	}
	if now := p.a.Budget().Used(); now > used {
		t.Errorf("%d bytes committed with the reserve's thread shut out, %d before", now, used)
	}
	close(gate)
	for i := range 10_000 { // several times the reserve, each refused or not
		size := 600 * (1 + i%6)
		o, err := put(p, uint64(i), size)
		if errors.Is(err, ErrReserve) {
			time.Sleep(time.Millisecond)
			continue
		}
		noErr(t, err)
		all = append(all, o)
	}
	for _, o := range all {
		noErr(t, o.verify(p))
	}
}

// At the budget's limit Malloc says so, and the reserve is full again when there is room.
func TestReserveAtTheLimit(t *testing.T) {
	p := newTestPool(t, Options{}, 4<<20)
	noErr(t, p.StartReserve(ReserveOptions{Frames: 256}))
	var all []object
	fill := func() {
		for i := uint64(0); ; i++ {
			o, err := put(p, i, 1000)
			if errors.Is(err, arena.ErrLimit) {
				return
			}
			if errors.Is(err, ErrReserve) { // not filled again yet
				time.Sleep(time.Millisecond)
				continue
			}
			noErr(t, err)
			all = append(all, o)
		}
	}
	fill()
	if n := len(all); n < 3000 {
		t.Errorf("%d objects of 1000 bytes in 4 MiB", n)
	}
	first := len(all)
	for _, o := range all {
		noErr(t, p.Free(o.h))
	}
	all = nil
	fill()
	if len(all) < first*9/10 {
		t.Errorf("%d objects the first time, %d the second", first, len(all))
	}
	for _, o := range all {
		noErr(t, o.verify(p))
	}
}

// What a lane has in reserve survives those who give frames back to the system.
func TestReserveIsKept(t *testing.T) {
	p := newTestPool(t, Options{}, 64<<20)
	noErr(t, p.StartReserve(ReserveOptions{Frames: 512}))
	for i := range 3000 {
		noErr(t, p.Free(mustPut(t, p, uint64(i), 2000).h))
	}
	p.reserve.stop.Store(true) // nobody fills it again, and it is kept
	p.reserve.bell.Expect()
	p.reserve.bell.Ring()
	<-p.reserve.done
	var before [lanes]int64
	for l := range p.lanes {
		before[l] = p.lanes[l].readyFrames.Load()
	}
	p.releaseReady(0) // as somebody does who has no memory
	for l := range uint8(lanes) {
		if have, want := p.lanes[l].readyFrames.Load(), min(before[l], p.reserve.want(l)); have < want {
			t.Errorf("lane %d: %d frames ready, of %d to be kept", l, have, want)
		}
	}
}

// With a reserve, a zspage has all its frames when it is made, and Malloc asks for none later. So they must outlive the process,
// or with the first objects after it each class takes a zspage anew.
func TestReserveOfZspagesIsKept(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 64<<20)
	defer a.Close()
	dead, err := New(a, 0, o)
	noErr(t, err)
	noErr(t, dead.StartReserve(ReserveOptions{Frames: 4096}))
	var all []object
	for i, c := range dead.classes {
		o, err := put(dead, uint64(i), c.room())
		for errors.Is(err, ErrReserve) { // not filled again yet
			time.Sleep(time.Millisecond)
			o, err = put(dead, uint64(i), c.room())
		}
		noErr(t, err)
		all = append(all, o)
	}
	dead.StopReserve()
	noErr(t, dead.private.Close())

	rec, err := Open(a, 0, o)
	noErr(t, err)
	rec.Keep(1)
	for _, o := range all {
		noErr(t, rec.Adopt(o.h, o.size))
	}
	p, err := rec.Finish()
	noErr(t, err)
	gate := make(chan bool)
	noErr(t, p.StartReserve(ReserveOptions{Thread: func() { <-gate }}))
	for i, c := range p.classes {
		for range min(c.objsPerZspage, 2) - 1 {
			o, err := put(p, uint64(i), c.room())
			noErr(t, err)
			all = append(all, o)
		}
	}
	noErr(t, p.Check())
	for _, o := range all {
		noErr(t, o.verify(p))
		noErr(t, p.Free(o.h))
	}
	close(gate)
	noErr(t, p.Close())
}

// The words of handles run out at the budget's limit, while runs are ready: Malloc says so, and neither waits nor is refused for want of
// a reserve for ever.
func TestReserveOutOfHandlesAtTheLimit(t *testing.T) {
	p := newTestPool(t, Options{Handles: 1 << 22, MaxFrames: 1 << 16}, 256<<20)
	noErr(t, p.StartReserve(ReserveOptions{Frames: 2048}))
	p.a.Budget().SetLimit(p.a.Budget().Used())
	for i := uint64(0); ; i++ {
		done := make(chan error, 1)
		go func() {
			_, err := put(p, i, 24)
			for began := time.Now(); errors.Is(err, ErrReserve) && time.Since(began) < 30*time.Second; _, err = put(p, i, 24) {
				time.Sleep(time.Millisecond)
			}
			done <- err
		}()
		select {
		case err := <-done:
			if errors.Is(err, arena.ErrLimit) {
				if ready := p.readyFrames.Load(); i < handlesAhead/2 || ready == 0 {
					t.Errorf("after %d objects, with %d frames ready", i, ready)
				}
				return
			}
			if err != nil {
				t.Fatalf("object %d: %v", i, err)
			}
		case <-time.After(time.Minute):
			panic("Malloc does not return")
		}
	}
}

// Handles are wanted faster than the reserve's thread, which is busy with runs, comes by: they are there a moment later.
func TestReserveOfHandles(t *testing.T) {
	p := newTestPool(t, Options{Handles: 1 << 16, MaxFrames: 1 << 16}, 256<<20)
	noErr(t, p.StartReserve(ReserveOptions{Frames: 8192}))
	for i := range uint64(5 * handlesAhead) {
		_, err := put(p, i, 24)
		for began := time.Now(); errors.Is(err, ErrReserve) && time.Since(began) < 30*time.Second; _, err = put(p, i, 24) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			t.Fatalf("object %d: %v, %d frames ready", i, err, p.readyFrames.Load())
		}
	}
}
