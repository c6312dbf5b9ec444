package trace

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memory is a pool that never refuses, unless it is told to.
type memory struct{ fail error }

func (m memory) Load(uint64, []byte) error       { return m.fail }
func (m memory) Store(uint64, []byte) error      { return m.fail }
func (m memory) Invalidate(uint64, uint64) error { return m.fail }

func record(t testing.TB, events, pages int, use func(*Recorder)) (Stats, []Event) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace")
	f, err := os.Create(path)
	must(t, err)
	r, err := newRecorder(f, Meta{Slots: testSlots, Pages: true}, events, pages)
	must(t, err)
	use(r)
	s, err := r.Close()
	must(t, err)
	file, err := os.ReadFile(path)
	must(t, err)
	if s.Bytes != int64(len(file)) {
		t.Errorf("%d bytes, says %d", len(file), s.Bytes)
	}
	_, all, err := readAll(file)
	must(t, err)
	return s, all
}

// Several threads store, load and free their own slots; each slot's events come out in the order in which they were
// served, with the right page, and what was dropped is counted to the page.
func TestOrderAndCounts(t *testing.T) {
	const threads, rounds, slots = 4, 3000, 8
	for name, size := range map[string][2]int{"room": {1 << 12, 1 << 12}, "few cells": {4, 1 << 12}, "few pages": {1 << 12, 4}} {
		t.Run(name, func(t *testing.T) {
			s, all := record(t, size[0], size[1], func(r *Recorder) {
				var wg sync.WaitGroup
				for thread := range uint64(threads) {
					wg.Go(func() {
						p := r.Wrap(memory{})
						page := make([]byte, PageSize)
						for i := range uint64(rounds) {
							slot := thread*slots + i%slots
							binary.LittleEndian.PutUint64(page, i)
							binary.LittleEndian.PutUint64(page[PageSize-8:], slot)
							_ = p.Store(slot, page)
							_ = p.Load(slot, page)
							_ = p.Invalidate(slot, 1)
						}
					})
				}
				wg.Wait()
			})
			var seen Lost // what is there, counted like what is not
			last := map[uint64]uint64{}
			for i, e := range all {
				if i > 0 && e.At < all[i-1].At {
					t.Fatalf("event %d came before the one before", i)
				}
				switch e.Op {
				case Store:
					seen.Stored += e.Count
					round, slot := binary.LittleEndian.Uint64(e.Pages[0]), binary.LittleEndian.Uint64(e.Pages[0][PageSize-8:])
					if slot != e.First || round+1 <= last[slot] {
						t.Fatalf("slot %d, round %d after %d: a page of slot %d", e.First, round, last[slot], slot)
					}
					last[slot] = round + 1
				case Load:
					seen.Loaded += e.Count
				case Invalidate:
					seen.Invalidated += e.Count
				case Gap:
					seen.Add(e.Lost)
				}
			}
			const each = threads * rounds
			if seen.Stored != each || seen.Loaded != each || seen.Invalidated != each {
				t.Errorf("recorded and lost: %+v, want %d of each", seen, each)
			}
			if s.Events+s.Lost.Events != 3*each || s.Lost.Events != seen.Events || s.Stored+s.Lost.Stored != each {
				t.Errorf("the recorder counts %+v", s)
			}
			if name != "room" && s.Lost.Events == 0 {
				t.Error("nothing was lost: the ring was to be too small")
			}
		})
	}
}

// Within one slot nothing is out of order: store, load, invalidate, again and again.
func TestOrderOfOneSlot(t *testing.T) {
	_, all := record(t, 1<<14, 1<<12, func(r *Recorder) {
		var wg sync.WaitGroup
		for slot := range uint64(3) {
			wg.Go(func() {
				p, page := r.Wrap(memory{}), make([]byte, PageSize)
				for range 1000 {
					_, _, _ = p.Store(slot, page), p.Load(slot, page), p.Invalidate(slot, 1)
				}
			})
		}
		wg.Wait()
	})
	at := map[uint64]int{}
	for i, e := range all[:len(all)-1] {
		if e.Op == Gap {
			t.Fatal("there was room")
		}
		if want := []Op{Store, Load, Invalidate}[at[e.First]%3]; e.Op != want {
			t.Fatalf("event %d of slot %d is %d, want %d", i, e.First, e.Op, want)
		}
		at[e.First]++
	}
}

// While the file takes nothing, as a disk may, callers go on: their events are dropped, and counted where they are missing.
func TestNobodyWaitsForTheFile(t *testing.T) {
	in, out, err := os.Pipe()
	must(t, err)
	r, err := newRecorder(out, Meta{Slots: testSlots, Pages: true}, 64, 64)
	must(t, err)
	p, list, stored := r.Wrap(memory{}), pages(1, 0, 4096), uint64(0)
	store := func(n int) {
		for range n {
			must(t, p.Store(stored, list[stored%uint64(len(list))]))
			stored++
		}
	}
	store(20_000) // the pipe holds 64 KiB
	file := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(in)
		file <- b
	}()
	for !r.ring.empty() {
		time.Sleep(time.Millisecond)
	}
	store(50) // there is room again
	s, err := r.Close()
	must(t, err)
	if s.Lost.Stored < 1000 || s.Stored+s.Lost.Stored != stored {
		t.Errorf("%+v", s)
	}
	_, all, err := readAll(<-file)
	must(t, err)
	next, gaps := uint64(0), 0
	for _, e := range all {
		switch e.Op {
		case Gap:
			next += e.Lost.Stored
			gaps++
		case Store:
			if e.First != next {
				t.Fatalf("a store of slot %d, want %d: the gap is not where the events are missing", e.First, next)
			}
			next++
		}
	}
	if next != stored || gaps == 0 {
		t.Errorf("%d stores, %d gaps; want %d", next, gaps, stored)
	}
}

// A file that cannot be written ends the recording with an error, and nothing else.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	f, err := os.Create(path)
	must(t, err)
	r, err := newRecorder(f, Meta{Slots: testSlots, Pages: true}, 1024, 1024)
	must(t, err)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	must(t, unix.Dup3(int(full.Fd()), int(f.Fd()), unix.O_CLOEXEC)) // from here on the disk is full
	must(t, full.Close())
	p := r.Wrap(memory{})
	for i, page := range pages(1, 0, 3000) {
		must(t, p.Store(uint64(i), page))
	}
	if _, err := r.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Close: %v", err)
	}
}

// Of a trace that is cut off because the disk is full, what was recorded is what a reader finds, and not what was to be written next.
func TestFullDiskCounts(t *testing.T) {
	r, w, err := os.Pipe() // a file that ends when its reader leaves
	must(t, err)
	defer r.Close()
	rec, err := newRecorder(w, Meta{Slots: testSlots, Pages: true}, 1024, 1024)
	must(t, err)
	p, list := rec.Wrap(memory{}), pages(1, 0, 3000)
	for i, page := range list[:500] {
		must(t, p.Store(uint64(i), page))
	}
	in, err := NewReader(r)
	must(t, err)
	found := uint64(0)
	for found < 500 { // they are flushed in time
		events, err := in.Next()
		must(t, err)
		found += uint64(len(events))
	}
	must(t, r.Close())
	for i, page := range list {
		must(t, p.Store(uint64(i), page))
	}
	if s, err := rec.Close(); !errors.Is(err, unix.EPIPE) || s.Events != found || s.Stored != found {
		t.Errorf("%d events found; %+v, %v", found, s, err)
	}
}

// What the pool refused or could not do is not in the trace as done.
func TestErrorsPassThrough(t *testing.T) {
	bad := errors.New("bad")
	_, all := record(t, 64, 64, func(r *Recorder) {
		p := r.Wrap(memory{fail: bad})
		page := make([]byte, 2*PageSize)
		for _, err := range []error{p.Store(5, page), p.Load(5, page), p.Invalidate(5, 9)} {
			if err != bad {
				t.Errorf("the pool's error becomes %v", err)
			}
		}
	})
	if len(all) != 3 || all[0].Op != Refused || all[0].Count != 2 || all[1].Op != Load || all[2].Op != End {
		t.Errorf("%+v", all)
	}
}

// Long calls are several events.
func TestLongCalls(t *testing.T) {
	list := pages(1, 0, MaxRun+10)
	var src []byte
	for _, p := range list {
		src = append(src, p...)
	}
	_, all := record(t, 64, 1024, func(r *Recorder) { must(t, r.Wrap(memory{}).Store(100, src)) })
	if len(all) != 3 || all[0].Count != MaxRun || all[1].First != 100+MaxRun || all[1].Count != 10 || string(all[1].Pages[9]) != string(list[MaxRun+9]) {
		t.Errorf("%d events", len(all))
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	r, err := Create(path, Meta{Slots: 1, Pages: true})
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := Create(path, Meta{Slots: 1, Pages: true}); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	_, err = r.Close()
	must(t, err)
	other := filepath.Join(t.TempDir(), "other")
	if _, err := Create(other, Meta{Slots: 1, Compressor: "rar"}); err == nil {
		t.Error("an unknown codec is taken")
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a trace that was not begun is left behind: %v", err)
	}
}

func TestNoAllocationsWhileRecording(t *testing.T) {
	record(t, 1<<12, 1<<12, func(r *Recorder) {
		p, page := r.Wrap(memory{}), make([]byte, 4*PageSize)
		if n := testing.AllocsPerRun(2000, func() {
			_, _, _ = p.Store(1, page), p.Load(1, page), p.Invalidate(1, 4)
		}); n > 0 { // an average over all goroutines, the writer's included, rounded down
			t.Errorf("%v allocations a round", n)
		}
	})
}

// A recorder that was closed lets calls through.
func TestAfterClose(t *testing.T) {
	var p Pool
	_, all := record(t, 64, 64, func(r *Recorder) { p = r.Wrap(memory{}) })
	must(t, p.Store(1, make([]byte, PageSize)))
	if len(all) != 1 {
		t.Errorf("%+v", all)
	}
}
