package zpool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
)

var historiesFlag = flag.Int("histories", 100, "histories that TestHistories records with each GOMAXPROCS")

const (
	historySlots   = 4   // that the workers share
	churnSlots     = 300 // beside them, in the same zspages
	historyWorkers = 4
	historyLength  = 120 // operations of a worker, of up to 3 pages each
	// On one CPU goroutines take turns every 10 ms, so there histories are so many times as long, and as few.
	long = 30
)

// TestHistories has workers store, load and invalidate pages on few slots, while others churn and compact without pause,
// and looks whether what each saw can be explained by the operations happening one after another, each between its call
// and its return: is every slot a register that is linearizable? Operations on several pages are one for each page.
func TestHistories(t *testing.T) {
	refused, moved, packed, written, promoted := 0, uint64(0), uint64(0), uint64(0), uint64(0)
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("GOMAXPROCS=%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			r := newRand(t)
			p := newTestPool(t, Options{Slots: historySlots + churnSlots, AcceptThresholdPercent: 100, RecompressCodec: "s2"})
			rec := newRecorder(t, p)
			histories, length := *historiesFlag, historyLength
			if procs == 1 {
				histories, length = (histories+long-1)/long, length*long
			}
			switch slow := p.File() == nil; { // a race build
			case slow && procs == 1:
				length /= 10
			case slow:
				histories = (histories + 9) / 10
			}
			for range histories {
				h := rec.record(r.Uint64(), length)
				checkHistory(t, h)
				noErr(t, p.Check())
				if t.Failed() {
					return
				}
				for _, o := range h {
					if o.Output.(result).refused {
						refused++
					}
				}
			}
			_, n := p.zs.Moved()
			moved, packed, written, promoted = moved+n, packed+rec.packed, written+rec.written, promoted+p.Stats().Promoted
		})
	}
	t.Logf("%d stores refused, %d objects moved, %d pages packed, %d written, %d promoted", refused, moved, packed, written, promoted)
	if !t.Failed() && *historiesFlag >= 100 && (refused == 0 || moved == 0 || packed == 0 || written == 0 || promoted == 0) {
		t.Error("no store was refused, no object moved, or no page packed or written: the test did not test")
	}
}

// call is one operation on one slot, result what it returned.
type call struct {
	what  string // "store", "load" or "invalidate"
	slot  uint64
	value uint32 // that is stored
}

type result struct {
	value   uint32 // that was loaded, 0 for an empty slot
	refused bool   // the store was, and changed nothing
}

// registers is the model: each slot is a register that begins empty.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		parts = make([][]porcupine.Operation, historySlots)
		for _, o := range history {
			slot := o.Input.(call).slot
			parts[slot] = append(parts[slot], o)
		}
		return parts
	},
	Init: func() any { return uint32(0) },
	Step: func(state, input, output any) (ok bool, next any) {
		c, r := input.(call), output.(result)
		switch {
		case c.what == "load":
			return r.value == state.(uint32), state
		case r.refused:
			return true, state
		}
		return true, c.value // 0 for invalidate
	},
	DescribeOperation: func(input, output any) string {
		c, r := input.(call), output.(result)
		switch {
		case c.what == "load":
			return fmt.Sprintf("load %d: %#x", c.slot, r.value)
		case r.refused:
			return fmt.Sprintf("store %d %#x: full", c.slot, c.value)
		}
		return fmt.Sprintf("%s %d %#x", c.what, c.slot, c.value)
	},
}

func checkHistory(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	verdict, info := porcupine.CheckOperationsVerbose(registers, history, time.Minute)
	if verdict == porcupine.Ok {
		return
	}
	t.Errorf("a history of %d operations is not linearizable: %s", len(history), verdict)
	f, err := os.CreateTemp("", "zpool-history-*.html")
	noErr(t, err)
	defer f.Close()
	noErr(t, porcupine.Visualize(registers, info, f))
	t.Logf("it is drawn in %s", f.Name())
}

// recorder makes histories of one pool.
type recorder struct {
	t       *testing.T
	p       *Pool
	clients [historyWorkers]client
	churn   *Worker
	stored  [churnSlots]uint32 // what it stored, by slot
	packed  uint64             // pages
	written uint64             // pages
	dir     string             // for backing files
	clock   atomic.Int64       // a counter and not the time: the clocks of two CPUs may disagree
}

func newRecorder(t *testing.T, p *Pool) *recorder {
	rec := &recorder{t: t, p: p, churn: p.NewWorker(), dir: shm(t)}
	for i := range rec.clients {
		rec.clients[i] = client{recorder: rec, w: p.NewWorker(), id: i}
	}
	return rec
}

// record makes one history, in which each client does so many operations.
func (rec *recorder) record(seed uint64, length int) (all []porcupine.Operation) {
	var stop atomic.Bool
	var background, users sync.WaitGroup
	noErr(rec.t, rec.churn.Invalidate(0, historySlots))
	background.Go(func() { rec.compactAndSqueeze(rand.New(rand.NewPCG(seed, 100)), &stop) })
	background.Go(func() { rec.packIdle(rand.New(rand.NewPCG(seed, 102)), &stop) })
	background.Go(func() { rec.writeIdle(rand.New(rand.NewPCG(seed, 103)), &stop) })
	background.Go(func() { rec.churnOthers(rand.New(rand.NewPCG(seed, 101)), &stop) })
	for i := range rec.clients {
		c := &rec.clients[i]
		c.history = nil
		users.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range length {
				c.operate(r)
			}
		})
	}
	users.Wait()
	stop.Store(true)
	background.Wait()
	rec.clients[0].load(0, historySlots)
	for i := range rec.clients {
		all = append(all, rec.clients[i].history...)
	}
	return all
}

// compactAndSqueeze compacts without pause. Now and then it takes the memory away that would let the pool grow, and
// gives it back.
func (rec *recorder) compactAndSqueeze(r *rand.Rand, stop *atomic.Bool) {
	b := rec.p.a.Budget()
	limit := b.Limit()
	defer b.SetLimit(limit)
	for !stop.Load() {
		rec.p.Compact(1 + r.IntN(8<<10))
		switch r.IntN(40) {
		case 0, 1:
			b.SetLimit(b.Used())
		case 2:
			b.SetLimit(limit)
		}
	}
}

// writeIdle writes to the backing file without pause what nobody has used for a moment, and moves it about there.
func (rec *recorder) writeIdle(r *rand.Rand, stop *atomic.Bool) {
	b := &rec.p.writeback
	for !stop.Load() {
		clear(b.recent[:])
		b.hotAge.Store(r.Uint32N(3))
		var did Written
		var err error
		switch n := r.IntN(100); {
		case rec.p.Backing() == nil:
			if err = rec.p.AddBacking(BackingOptions{Path: rec.dir, Bytes: 4 << 20}); errors.Is(err, arena.ErrLimit) {
				err = nil
			}
		case n == 0:
			if err = rec.p.RemoveBacking(false); errors.As(err, new(*RoomError)) {
				err = nil
			}
		case n < 30:
			_, _, err = rec.p.CleanBacking()
		default:
			did, _, err = rec.p.WriteBack(1, 1, 1+r.Int64N(200_000))
		}
		if err != nil && !errors.Is(err, backing.ErrFull) {
			rec.t.Error(err)
			return
		}
		rec.written += did.Pages
	}
}

// packIdle packs without pause what nobody has used for a moment.
func (rec *recorder) packIdle(r *rand.Rand, stop *atomic.Bool) {
	for !stop.Load() {
		rec.p.tiers.hotAge.Store(r.Uint32N(3))
		if r.IntN(2) == 0 {
			rec.p.Tick()
		}
		did, _, err := rec.p.Recompress(0, 1+r.IntN(20))
		if err != nil {
			rec.t.Error(err)
			return
		}
		rec.packed += did.Pages
	}
}

// churnOthers stores, loads and invalidates pages of its own, which leaves holes around the workers' objects.
func (rec *recorder) churnOthers(r *rand.Rand, stop *atomic.Bool) {
	w, stored, page, want := rec.churn, &rec.stored, make([]byte, PageSize), make([]byte, PageSize)
	for !stop.Load() {
		i := r.Uint64N(churnSlots)
		slot := historySlots + i
		var err error
		switch r.IntN(3) {
		case 0:
			value := r.Uint32() | 1
			makeValuePage(page, value)
			if err = w.Store(slot, page); err == nil {
				stored[i] = value
			} else if err == ErrFull {
				err = nil
			}
		case 1:
			n := min(1+r.Uint64N(4), churnSlots-i)
			clear(stored[i : i+n])
			err = w.Invalidate(slot, n)
		default:
			var value uint32
			if err = w.Load(slot, page); err == nil {
				if value, err = readValuePage(page, want); err == nil && value != stored[i] {
					err = fmt.Errorf("slot %d, which nobody else uses, holds %#x, want %#x", slot, value, stored[i])
				}
			}
		}
		if err != nil {
			rec.t.Error(err)
			return
		}
	}
}

// client is one of those whose operations are recorded.
type client struct {
	*recorder
	w       *Worker
	id      int
	last    uint32 // number of the last value
	taken   uint64 // pages that were stored, in this and all histories before
	buf     [historySlots * PageSize]byte
	want    [PageSize]byte
	history []porcupine.Operation
}

// operate does a random operation.
func (c *client) operate(r *rand.Rand) {
	n := 1 + r.Uint64N(3)
	first := r.Uint64N(historySlots - n + 1)
	switch r.IntN(8) {
	case 0:
		c.invalidate(first, n)
	case 1, 2, 3:
		c.store(first, n)
	default:
		c.load(first, n)
	}
}

// add records one operation for each of n slots.
func (c *client) add(what string, first, n uint64, began int64, each func(i uint64) (uint32, result)) {
	ended := c.clock.Add(1)
	for i := range n {
		value, r := each(i)
		c.history = append(c.history, porcupine.Operation{
			ClientId: c.id, Call: began, Return: ended, Input: call{what, first + i, value}, Output: r,
		})
	}
}

func (c *client) store(first, n uint64) {
	values := uint32(c.id)<<28 + c.last + 1
	c.last += uint32(n)
	for i := range n {
		makeValuePage(c.buf[i*PageSize:][:PageSize], values+uint32(i))
	}
	began := c.clock.Add(1)
	err := c.w.Store(first, c.buf[:n*PageSize])
	taken := n
	if err != nil {
		if err != ErrFull {
			c.t.Error(err)
		}
		taken = c.w.storeTime.Snapshot().Count - c.taken
	}
	c.taken += taken
	c.add("store", first, n, began, func(i uint64) (uint32, result) {
		return values + uint32(i), result{refused: i >= taken}
	})
}

func (c *client) invalidate(first, n uint64) {
	began := c.clock.Add(1)
	if err := c.w.Invalidate(first, n); err != nil {
		c.t.Error(err)
	}
	c.add("invalidate", first, n, began, func(uint64) (uint32, result) { return 0, result{} })
}

func (c *client) load(first, n uint64) {
	began := c.clock.Add(1)
	if err := c.w.Load(first, c.buf[:n*PageSize]); err != nil {
		c.t.Error(err)
	}
	c.add("load", first, n, began, func(i uint64) (uint32, result) {
		value, err := readValuePage(c.buf[i*PageSize:][:PageSize], c.want[:])
		if err != nil {
			c.t.Errorf("slot %d: %v", first+i, err)
		}
		return 0, result{value: value}
	})
}

// noise is what no codec makes smaller.
var noise = func() (b [2 * PageSize]byte) {
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b[:])
	return b
}()

// makeValuePage makes the page for a value that is not 0: same-filled, or of one of a few compressed sizes, so that
// objects share size classes.
func makeValuePage(page []byte, value uint32) {
	x := mix(uint64(value))
	switch kind := x % 8; kind {
	case 0:
		fillPage(page, uint64(value)<<32|uint64(value))
	case 1:
		fillPage(page, x&^(1<<32-1)|uint64(value))
	default:
		clear(page)
		n := []int{16, 300, 700, 1500, 2500, PageSize}[kind-2]
		copy(page[:n], noise[x>>32%PageSize:])
		binary.LittleEndian.PutUint32(page, value)
	}
}

// readValuePage returns the value of a page, 0 for zeros. want is room for a page.
func readValuePage(page, want []byte) (uint32, error) {
	value := binary.LittleEndian.Uint32(page)
	if clear(want); value != 0 {
		makeValuePage(want, value)
	}
	if !bytes.Equal(page, want) {
		return value, errors.New("a page that nobody stored")
	}
	return value, nil
}
