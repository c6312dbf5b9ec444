package backing

import (
	"fmt"
	"sync/atomic"
)

type counts struct {
	live                                      atomic.Int64
	free                                      atomic.Int64 // extents in which nothing is wanted
	reads, readErrors, damaged                atomic.Uint64
	batches, writeErrors, cleaned, syncErrors atomic.Uint64
}

// Stats are the numbers of a file. Counts begin with the process.
type Stats struct {
	Bytes        int64  // of the file
	LiveBytes    int64  // wanted; an object that several want counts for each
	WrittenBytes uint64 // since the file was made
	DayBytes     int64  // in the last 24 hours

	Reads       uint64 // objects
	ReadErrors  uint64 // calls
	Damaged     uint64 // objects
	Batches     uint64
	WriteErrors uint64 // batches
	Cleaned     uint64 // extents
}

// Stats reads the counters; it waits for nobody.
func (f *File) Stats() Stats {
	c := &f.counts
	return Stats{
		Bytes: f.Bytes(), LiveBytes: c.live.Load(), WrittenBytes: f.state.word(wordWritten).Load(), DayBytes: f.dayBytes(f.now()),
		Reads: c.reads.Load(), ReadErrors: c.readErrors.Load(), Damaged: c.damaged.Load(),
		Batches: c.batches.Load(), WriteErrors: c.writeErrors.Load(), Cleaned: c.cleaned.Load(),
	}
}

// WriteErrors returns how many batches could not be written. It may be called after Close.
func (f *File) WriteErrors() uint64 { return f.counts.writeErrors.Load() }

// Check compares what is wanted with the places that the owner has, each as often as it is wanted. No other call may be in
// progress.
func (f *File) Check(each func(visit func(p Place))) error {
	live, all := make([]int32, len(f.extents)), int64(0)
	var err error
	each(func(p Place) {
		switch {
		case !p.sound(len(f.extents)):
			err = fmt.Errorf("backing: %s is outside the file", p)
			return
		case f.state.number(p.extent()).Load() == 0:
			err = fmt.Errorf("backing: %s, where nothing was written", p)
		}
		live[p.extent()] += int32(p.Units())
		all += p.Bytes()
	})
	free := int64(0)
	for i := range live {
		if live[i] == 0 && i >= f.first {
			free++
		}
		if n := f.extents[i].live.Load(); n != live[i] && err == nil {
			err = fmt.Errorf("backing: %d units are wanted in extent %d, counted are %d", live[i], i, n)
		}
	}
	if n := f.counts.free.Load(); n != free && err == nil {
		err = fmt.Errorf("backing: nothing is wanted in %d extents, counted are %d", free, n)
	}
	if n := f.counts.live.Load(); n != all && err == nil {
		err = fmt.Errorf("backing: %d bytes are wanted, counted are %d", all, n)
	}
	return err
}
