package backing

import "errors"

// BatchBytes is the most that a batch takes.
const BatchBytes = 8 * ExtentBytes

// tailUnits is the least room in an extent that a batch begins with: a page fits.
const tailUnits = (headerSize + 4096 + tagSize) / Unit

// Batch is objects that are written together. It has the writer's turn from Begin to Write, Flush or Drop.
type Batch struct {
	f     *File
	syncs uint64 // syncs that had failed when it began
	spare int    // extents to be left for the cleaner
	left  int64  // bytes that may still be added
	spent int64  // bytes written, padding included

	buffer int // the one that is filled
	from   int // unit where it begins: it holds units from there up to open.unit of the open extent
	idle   []int
	jobs   chan job
	done   chan outcome // of the jobs
	under  int          // jobs that were not waited for
	err    error
}

// job is a part of an extent, in a buffer, that is to be written.
type job struct {
	buffer int
	b      []byte
	off    int64
}

type outcome struct {
	buffer int
	err    error
}

// writers is how many writes are under way, so that the disk need not wait for the next.
const writers = 2

// Begin begins a batch of up to so many bytes, at most BatchBytes. Only the cleaner may take the last extents. The
// errors are ErrFull, ErrNoSpace, ErrLimit, ErrBackOff, or one of the system.
func (f *File) Begin(bytes int64, cleaner bool) (*Batch, error) {
	f.turn.Lock()
	b := &Batch{f: f, spare: spareExtents, syncs: f.counts.syncErrors.Load()}
	if cleaner {
		b.spare = 0
	}
	var err error
	if f.turn.closed {
		err = ErrNone
	}
	if err == nil {
		b.left, err = f.allowLocked(min(bytes, BatchBytes))
	}
	if err == nil && !b.roomLocked(tailUnits) {
		err = b.extendLocked()
	}
	if err != nil {
		f.turn.Unlock()
		return nil, err
	}
	b.from = f.turn.open.unit
	b.jobs, b.done = make(chan job, len(f.turn.buffers)), make(chan outcome, len(f.turn.buffers))
	for i := range f.turn.buffers[1:] {
		b.idle = append(b.idle, i+1)
	}
	for range writers {
		go func() {
			for j := range b.jobs {
				err := f.disk.writeAt(j.b, j.off)
				step("backing: extent written")
				b.done <- outcome{j.buffer, err}
			}
		}()
	}
	return b, nil
}

// roomLocked reports whether an object of so many units fits in the open extent.
func (b *Batch) roomLocked(units int) bool {
	t := &b.f.turn.open
	return t.extent != none && t.unit+units <= extentUnits
}

// extendLocked goes on with the next extent.
func (b *Batch) extendLocked() error {
	f := b.f
	i, err := f.takeExtentLocked(b.spare)
	if err != nil {
		if !errors.Is(err, ErrFull) && !errors.Is(err, ErrNoSpace) { // which end when something is freed
			f.failedLocked()
		}
		return err
	}
	off, _ := f.span(i)
	f.turn.open = tail{extent: i, number: f.state.next(i), unit: int(off % ExtentBytes / Unit)}
	b.from = f.turn.open.unit
	return nil
}

// Add adds an object of at most MaxObject bytes, wanted by so many, and returns where it will be. It reports false when the
// batch is full, or cannot be written; then Flush tells. Whoever does not want it after all, says so with Free.
func (b *Batch) Add(o Object, bytes []byte, wanted int) (Place, bool) {
	f, units := b.f, unitsFor(len(bytes))
	if len(bytes) > MaxObject {
		panic("backing: object too long")
	}
	if b.err != nil || b.left < int64(units)*Unit {
		return 0, false
	}
	if !b.roomLocked(units) {
		if b.write(); b.err == nil {
			b.err = b.extendLocked()
		}
		if b.err != nil || b.left < int64(units)*Unit { // the end of the extent took some
			return 0, false
		}
	}
	t := &f.turn.open
	p := newPlace(int64(t.extent)*extentUnits+int64(t.unit), units)
	at := f.turn.buffers[b.buffer][(t.unit-b.from)*Unit:][:units*Unit]
	f.turn.sealer.seal(at, t.number, p, o, bytes)
	t.unit += units
	b.left -= int64(units) * Unit
	f.want(p, wanted)
	return p, true
}

// Refusal is why Add reported false: ErrLimit if no more bytes may be written, or were asked for; else an error of Begin, or the
// disk's.
func (b *Batch) Refusal() error { return either(b.err, ErrLimit) }

// write has what is in the buffer written, up to the next block, and takes another buffer.
func (b *Batch) write() {
	f, t := b.f, &b.f.turn.open
	end := (t.unit*Unit + maxBlock - 1) / maxBlock * maxBlock
	from, n := b.from*Unit, t.unit*Unit-b.from*Unit
	if n == 0 {
		return
	}
	buffer := f.turn.buffers[b.buffer]
	clear(buffer[n : end-from])
	f.spendLocked(int64(end - from))
	b.jobs <- job{b.buffer, buffer[:end-from], int64(t.extent)*ExtentBytes + int64(from)}
	b.under++
	b.spent += int64(end - from)
	b.left -= int64(end - from - n) // the padding
	for len(b.idle) == 0 {
		b.wait()
	}
	b.buffer, b.idle = b.idle[0], b.idle[1:]
	t.unit, b.from = end/Unit, end/Unit
}

func (b *Batch) wait() {
	b.under--
	o := <-b.done
	b.idle = append(b.idle, o.buffer)
	if o.err != nil && b.err == nil {
		b.err = o.err
	}
}

// Flush writes what is left, and returns when all that was added is safely on the disk. After an error none of it is:
// each Place is to be given back with Free. An error that was a lack of space in mid-batch is none: what was added is there.
func (b *Batch) Flush() error {
	if err := b.Write(); err != nil {
		return err
	}
	return b.Sync()
}

// Write is the first half of Flush: all is written, and the turn is over, but only Sync says whether it is safe.
func (b *Batch) Write() error {
	full := b.err
	if full != nil && !errors.Is(full, ErrFull) && !errors.Is(full, ErrNoSpace) {
		return b.end(full)
	}
	b.err = nil
	b.write()
	for b.under > 0 {
		b.wait()
	}
	return b.end(b.err)
}

// Sync is the second half of Flush. It may be called while another batch is written. The system tells of an error once, and it
// may be about any of the batches that are not safe yet: so all of them have failed.
func (b *Batch) Sync() error {
	f := b.f
	if b.spent == 0 {
		return nil
	}
	err := f.disk.sync()
	step("backing: file synced")
	if err != nil {
		f.counts.syncErrors.Add(1)
	} else if f.counts.syncErrors.Load() != b.syncs {
		err = errSync
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	if err != nil {
		f.failLocked(b.spent)
		return err
	}
	f.workedLocked()
	f.counts.batches.Add(1)
	return nil
}

var errSync = errors.New("another batch was not safe when its file was synced")

// failLocked takes back what a batch has spent, and waits. What was to be in the open extent was, in part, written: it is done
// with.
func (f *File) failLocked(spent int64) {
	f.spendLocked(-spent)
	f.turn.open.extent = none
	f.failedLocked()
	f.counts.writeErrors.Add(1)
}

// Drop gives the batch up. Each Place is to be given back with Free.
func (b *Batch) Drop() {
	if b.err == nil || errors.Is(b.err, ErrNoSpace) {
		b.err = ErrFull
	}
	_ = b.end(b.err)
}

// end ends the turn.
func (b *Batch) end(err error) error {
	f := b.f
	for b.under > 0 {
		b.wait()
	}
	close(b.jobs)
	switch {
	case errors.Is(err, ErrFull): // what was written of it has worn the disk
		f.turn.open.extent = none
	case err != nil:
		f.failLocked(b.spent)
	}
	if f.turn.open.extent != none && f.turn.open.unit+tailUnits > extentUnits {
		f.turn.open.extent = none
	}
	f.turn.Unlock()
	return err
}
