package backing

import (
	"sync/atomic"
	"time"
)

// Limits say how much is written. Zeros mean no limit.
type Limits struct {
	DayBytes    int64 // in 24 hours: disks wear out
	SecondBytes int64
	MinFree     int64 // what the file system keeps

	// Note is a file that the bytes of the last 24 hours are kept in as well, for the next state; "": none. It is not changed by
	// SetLimits.
	Note string
}

const (
	dayHours     = 24
	hourShift    = 44 // a word of the day: hour since 1970 | KiB written in it
	minAllowance = 64 << 10
	backOffMin   = time.Second
	backOffMax   = 5 * time.Minute
)

type limits struct {
	day, second, minFree atomic.Int64

	// Guarded by the writer's turn.
	at      time.Time // when credit was what it is
	credit  int64     // bytes that may be written at once, by the limit of a second
	until   time.Time // of the wait after a failure
	backOff time.Duration
}

func (l *limits) set(o Limits) {
	l.day.Store(o.DayBytes)
	l.second.Store(o.SecondBytes)
	l.minFree.Store(o.MinFree)
}

// SetLimits changes the limits.
func (f *File) SetLimits(l Limits) { f.limits.set(l) }

// allowLocked returns how many bytes of those wanted may be written now.
func (f *File) allowLocked(want int64) (int64, error) {
	now, l := f.now(), &f.limits
	least := min(want, minAllowance)
	if now.Before(l.until) {
		return 0, ErrBackOff
	}
	if day := l.day.Load(); day > 0 { // in blocks, to which what is written is rounded up
		want = min(want, (day-f.dayBytes(now))/maxBlock*maxBlock)
	}
	if second := l.second.Load(); second > 0 {
		l.credit = min(second, l.credit+int64(float64(second)*min(max(now.Sub(l.at).Seconds(), 0), 60)))
		want = min(want, l.credit)
	} else {
		l.credit = 0
	}
	l.at = now
	if want < least {
		return 0, ErrLimit
	}
	return want, nil
}

// spendLocked counts what is about to be written, or takes back what has failed: then bytes is negative. It is a multiple
// of 1024.
func (f *File) spendLocked(bytes int64) {
	hour := uint64(f.now().Unix() / 3600)
	at := f.state.word(wordDay + int(hour%dayHours))
	kib := int64(0)
	if w := at.Load(); w>>hourShift == hour {
		kib = int64(w & (1<<hourShift - 1))
	}
	at.Store(hour<<hourShift | uint64(max(kib+bytes/1024, 0)))
	f.state.word(wordWritten).Add(uint64(bytes))
	f.limits.credit -= bytes
}

// dayBytes returns what was written in the last 24 hours. If the clock went back by less than a day, what was written later
// than now counts.
func (f *File) dayBytes(now time.Time) (bytes int64) {
	hour := uint64(now.Unix() / 3600)
	for i := range dayHours {
		if w := f.state.word(wordDay + i).Load(); inDay(w>>hourShift, hour) {
			bytes += int64(w&(1<<hourShift-1)) * 1024
		}
	}
	return bytes
}

// inDay reports whether an hour is less than a day from now, both since 1970.
func inDay(hour, now uint64) bool { return hour+dayHours > now && hour < now+dayHours }

// failedLocked waits twice as long as after the failure before; workedLocked forgets that there was one.
func (f *File) failedLocked() {
	l := &f.limits
	l.backOff = min(max(2*l.backOff, backOffMin), backOffMax)
	l.until = f.now().Add(l.backOff)
}

func (f *File) workedLocked() { f.limits.backOff = 0 }
