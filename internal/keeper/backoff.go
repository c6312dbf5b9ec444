package keeper

import "time"

// Pauses before a daemon is started again that follows one which was never ready. Meanwhile who swaps waits, so they are short.
const (
	firstPause = 10 * time.Millisecond
	longest    = 5 * time.Second
)

// backoff is the pause before the next start.
type backoff time.Duration

func (b *backoff) pause() time.Duration { return time.Duration(*b) }
func (b *backoff) reset()               { *b = 0 }

// failed doubles it.
func (b *backoff) failed() {
	*b = backoff(min(max(2*time.Duration(*b), firstPause), longest))
}
