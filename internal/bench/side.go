package bench

import "context"

// side is a system that is measured.
type side interface {
	name() (system, codec string)
	batch() int                                 // pages of a call
	open(pages int64, threads int) (box, error) // a new, empty store
}

// box is a side's store while it is measured.
type box interface {
	user(thread int) user
	usage() (usage, error)
	free(page int64) error
	compact() (Compaction, error)
	close() error // leaves nothing behind
}

// ager is a box that does something with pages that nobody asks for.
type ager interface {
	// age does all of it, as if much time had passed.
	age(ctx context.Context) error
	// aged says what came of it, once pages were loaded again.
	aged() Aged
}

// user is one thread's way into a box.
type user interface {
	store(first int, pages []byte) error
	load(first int, pages []byte) error
}

// usage is what a box takes.
type usage struct {
	pages          int64 // stored
	incompressible int64 // pages kept as they are
	compressed     int64 // bytes
	memory         int64 // bytes, all of it
	metadata       int64 // bytes of tables and headers, of memory
	frames         int64 // bytes of frames that hold objects, of memory; zram does not tell
	objects        int64 // bytes of the objects in them, headers and rounding to classes included
}

func (u *usage) level() Level {
	l := Level{Pages: u.pages, CompressedBytes: u.compressed, MemoryBytes: u.memory, FrameBytes: u.frames, ObjectBytes: u.objects}
	if u.compressed > 0 {
		l.OverPercent = 100*float64(u.memory)/float64(u.compressed) - 100
	}
	return l
}
