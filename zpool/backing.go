package zpool

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
)

// BackingOptions say what pages are written to, and how much; see package backing.
type BackingOptions struct {
	// Path is a folder, in which the file has no name and is gone with the last process that has it; or a file, or a block
	// device that nobody uses.
	Path        string
	Bytes       int64 // of it that are used at most
	DayBytes    int64 // written in 24 hours at most; 0: no limit
	SecondBytes int64 // written in a second; 0: no limit
	MinFree     int64 // bytes that its file system keeps

	// Note is a file in which the bytes of the last 24 hours are kept for the pool after this one; "": none. It is for good.
	Note string

	// Keep, if any, is given the file before a page is in it, to have another process hold it. If it fails, so does AddBacking.
	Keep func(*os.File) error
}

func (o BackingOptions) limits() backing.Limits {
	return backing.Limits{DayBytes: o.DayBytes, SecondBytes: o.SecondBytes, MinFree: o.MinFree, Note: o.Note}
}

// A RoomError is returned by RemoveBacking when memory has no room for what is in the backing file.
type RoomError struct {
	Pages, Bytes int64 // that are still in the file, compressed
	Room         int64 // bytes that the pool may still take
	Err          error // why: ErrFull, it may take no more; ErrNoMemory, it may, but the system has no more
}

func (e *RoomError) Error() string {
	more := "the pool may take only %d bytes more"
	if e.Err == ErrNoMemory {
		more = "the system has no memory for them, though the pool may take %d bytes more"
	}
	return fmt.Sprintf("%d pages, %d bytes, are in the backing file, and "+more, e.Pages, e.Bytes, e.Room)
}

func (e *RoomError) Unwrap() error { return e.Err }

// ErrUnreadableLeft is returned by RemoveBacking when pages cannot be read.
var ErrUnreadableLeft = errors.New("pages in the backing file cannot be read")

// AddBacking gives a running pool a backing file. One at a time.
func (p *Pool) AddBacking(o BackingOptions) error {
	b := &p.writeback
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file.Load() != nil {
		return errors.New("zpool: there is a backing file already")
	}
	f, err := backing.Create(o.Path)
	if err != nil {
		return fmt.Errorf("zpool: backing file: %w", err)
	}
	p.zs.Trim() // its state takes some frames
	file, err := backing.New(p.a, p.super.backingBase(), f, backing.Options{Bytes: o.Bytes, Limits: o.limits()})
	if err != nil {
		return fmt.Errorf("zpool: %w", err)
	}
	if o.Keep != nil {
		if err := o.Keep(file.File()); err != nil {
			return fmt.Errorf("zpool: backing file: %w", errors.Join(err, file.Remove()))
		}
	}
	b.open(p, file)
	return nil
}

// SetBackingLimits changes what BackingOptions say of bytes, but for the size.
func (p *Pool) SetBackingLimits(o BackingOptions) error {
	f := p.writeback.file.Load()
	if f == nil {
		return errNoBacking
	}
	f.SetLimits(o.limits())
	return nil
}

// Backing returns the backing file, to be held by another process and given to Open; nil if there is none.
func (p *Pool) Backing() *os.File {
	if f := p.writeback.file.Load(); f != nil {
		return f.File()
	}
	return nil
}

// BackingDirect reports whether the backing file is read and written past the page cache, or there is none.
func (p *Pool) BackingDirect() bool {
	f := p.writeback.file.Load()
	return f == nil || f.Direct()
}

// BackingErr returns how many batches could not be written to the backing file since it was taken into use, and the last failure of its
// disk; 0 without a file. It may be called while the pool is being closed, and after.
func (p *Pool) BackingErr() (batches uint64, last error) {
	b := &p.writeback
	if f := b.file.Load(); f != nil {
		batches = f.WriteErrors()
	}
	b.told.Lock()
	defer b.told.Unlock()
	return batches, b.told.err
}

// BackingNoteErr is why BackingOptions.Note could not be read or written when that was last tried; nil without one.
func (p *Pool) BackingNoteErr() error {
	if f := p.writeback.file.Load(); f != nil {
		return f.NoteErr()
	}
	return nil
}

// A page that is brought back waits for memory a second, as nobody waits for it.
const (
	patientTries = 100
	patientPause = 10 * time.Millisecond
)

// RemoveBacking brings all pages back into memory and gives up the backing file. It is a *RoomError if they do not fit; then
// some are back, and the rest stays where it is. Pages that cannot be read are ErrUnreadableLeft, and stay as they are,
// unless they are to be lost: then to load them is ErrCorrupt from now on.
func (p *Pool) RemoveBacking(lose bool) error {
	b := &p.writeback
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.file.Load()
	if f == nil {
		return errNoBacking
	}
	page, unreadable := make([]byte, PageSize), int64(0)
	var full error
	b.each(func(slot uint64, _ word) {
		if full != nil {
			return
		}
		err := b.w.bringBack(slot, page, lose)
		for tries := 0; err == ErrNoMemory && tries < patientTries; tries++ { // the reserve may only be late
			time.Sleep(patientPause)
			err = b.w.bringBack(slot, page, lose)
		}
		switch {
		case err == ErrFull || err == ErrNoMemory:
			full = err
		case err != nil:
			unreadable++
		}
	})
	if full != nil {
		pages := int64(0)
		b.each(func(uint64, word) { pages++ })
		room := max(p.limit.Load()-p.zs.InUse(), 0)
		return fmt.Errorf("zpool: %w", &RoomError{Pages: pages, Bytes: f.Stats().LiveBytes, Room: room, Err: full})
	}
	if unreadable > 0 && !lose {
		return fmt.Errorf("zpool: %d pages: %w", unreadable, ErrUnreadableLeft)
	}
	b.file.Store(nil)
	if err := f.Remove(); err != nil {
		return fmt.Errorf("zpool: %w", err)
	}
	return nil
}

// DropBacking gives up the backing file and all pages in it: for a pool that is about to be closed, and whose pages nobody wants.
// To load one of them is ErrCorrupt from now on.
func (p *Pool) DropBacking() error {
	b := &p.writeback
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.file.Load()
	if f == nil {
		return nil
	}
	b.each(func(slot uint64, _ word) {
		at := p.slots.word(slot)
		old := lockSlot(at)
		if old.kind() != kindWritten {
			publish(at, old)
			return
		}
		publish(at, lostWord)
		b.w.replaced(slot, old, lostWord, f)
	})
	b.file.Store(nil)
	return f.Remove()
}

// bringBack brings a slot's page from the backing file into memory, if it is there. The errors are ErrFull, ErrNoMemory and
// those of Load.
func (w *Worker) bringBack(slot uint64, page []byte, lose bool) error {
	at := w.p.slots.word(slot)
	old := lockSlot(at)
	if old.kind() != kindWritten {
		publish(at, old)
		return nil
	}
	new := word(0)
	err := w.read(slot, old, page)
	switch {
	case err == nil:
		if new, err = w.promote(slot, page, false); errors.Is(err, arena.ErrLimit) {
			err = ErrFull
		} else if err != nil {
			err = ErrNoMemory
		}
	case lose:
		new = lostWord
	}
	if new == 0 {
		publish(at, old)
		return err
	}
	file := w.fileOf(old)
	publish(at, new.at(old.age()))
	step("bring back: published")
	w.replaced(slot, old, new, file)
	return err
}
