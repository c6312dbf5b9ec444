package logs

import (
	"sync"

	"go.uber.org/zap/zapcore"
)

const ringEvents = 64

// Ring keeps the last events, informative ones and worse. The zero Ring is empty. Its methods may be called concurrently.
type Ring struct {
	mu     sync.Mutex
	events [ringEvents]zapcore.Entry // guarded by mu
	count  int                       // that there ever were; guarded by mu
}

// Events returns them, the oldest first.
func (r *Ring) Events() (list []zapcore.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := max(r.count-ringEvents, 0); i < r.count; i++ {
		list = append(list, r.events[i%ringEvents])
	}
	return list
}

// Enabled, With, Check, Write and Sync make it a zapcore.Core. Fields are left out: the messages of events have none.
func (r *Ring) Enabled(l zapcore.Level) bool      { return l >= zapcore.InfoLevel }
func (r *Ring) With([]zapcore.Field) zapcore.Core { return r }
func (r *Ring) Sync() error                       { return nil }
func (r *Ring) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if r.Enabled(e.Level) {
		return to.AddCore(e, r)
	}
	return to
}

func (r *Ring) Write(e zapcore.Entry, _ []zapcore.Field) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[r.count%ringEvents] = e
	r.count++
	return nil
}
