package workload

import "time"

// Progress is how far a run has come.
type Progress struct {
	Phase    string        `json:"phase"`   // fill, touch or verify
	Done     int64         `json:"done"`    // pages or touches
	Total    int64         `json:"total"`   // 0: the phase ends by the clock
	Elapsed  time.Duration `json:"elapsed"` // since the phase began, in nanoseconds
	Failures int64         `json:"failures"`
}

// report calls Progress once a second until the returned function is called, which calls it once more.
func (r *run) report(phase string, total int64, began time.Time) (end func()) {
	if r.config.Progress == nil {
		return func() {}
	}
	now := func() {
		p := Progress{Phase: phase, Total: total, Elapsed: time.Since(began)}
		for _, w := range r.workers {
			p.Done += w.done.Load()
			p.Failures += w.failures.Load()
		}
		r.config.Progress(p)
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				now()
				return
			case <-tick.C:
				now()
			}
		}
	}()
	return func() { close(quit); <-gone }
}
