package control

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"time"
)

// openapi describes all routes but /metrics, for programs that make clients.
//
//go:embed openapi.json
var openapi []byte

// handler answers requests.
type handler struct {
	daemon  Daemon
	metrics http.Handler
	log     func(msg string)
	turns   chan struct{} // one in it for each answer that is being made
}

// Bodies of requests. Those without a field take none.
type (
	writeBackRequest struct {
		Bytes int64 `json:"bytes"`
	}
	forceRequest struct {
		Force bool `json:"force"`
	}
	setRequest struct {
		Value string `json:"value"`
	}
	upgradeRequest struct {
		Program string `json:"program"`
	}
)

// Answers that are lists, in an object, so that something can come beside them.
type (
	settingsAnswer struct {
		Settings []Setting `json:"settings"`
	}
	eventsAnswer struct {
		Events []Event `json:"events"`
	}
	changesAnswer struct {
		Changes []Change `json:"changes"`
	}
	begunAnswer struct {
		State string `json:"state"`
	}
)

// reads are the calls for everyone who may open the socket.
func (h *handler) reads() map[string]func() (any, int) {
	d := h.daemon
	ok := func(v any) (any, int) { return v, http.StatusOK }
	return map[string]func() (any, int){
		"GET /v1/status":   func() (any, int) { return ok(NewStatus(d.Info(), d.Stats(), time.Now())) },
		"GET /v1/info":     func() (any, int) { i := d.Info(); return ok(i.complete()) },
		"GET /v1/stats":    func() (any, int) { s := d.Stats(); return ok(s.complete()) },
		"GET /v1/settings": func() (any, int) { return ok(settingsAnswer{list(d.Settings())}) },
		"GET /v1/events":   func() (any, int) { return ok(eventsAnswer{list(d.Events())}) },
		"GET /v1/health": func() (any, int) {
			i := d.Info()
			if h := i.Health(); !h.OK {
				return h, http.StatusServiceUnavailable
			} else {
				return ok(h)
			}
		},
	}
}

// changes are the calls for masters.
func (h *handler) changes() map[string]func(ctx context.Context, r *http.Request) (any, error) {
	type call = func(ctx context.Context, r *http.Request) (any, error)
	d := h.daemon
	plain := func(do func(context.Context) (Work, error)) call {
		return func(ctx context.Context, r *http.Request) (any, error) {
			if err := body(r, &struct{}{}); err != nil {
				return nil, err
			}
			return do(ctx)
		}
	}
	begin := func(do func(context.Context, bool) error) call {
		return func(ctx context.Context, r *http.Request) (any, error) {
			var b forceRequest
			if err := body(r, &b); err != nil {
				return nil, err
			}
			err := do(ctx, b.Force)
			return begunAnswer{d.Info().State}, err
		}
	}
	return map[string]call{
		"POST /v1/compact": plain(d.Compact),
		"POST /v1/age":     plain(d.Age),
		"POST /v1/writeback": func(ctx context.Context, r *http.Request) (any, error) {
			var b writeBackRequest
			if err := body(r, &b); err != nil {
				return nil, err
			}
			if b.Bytes < 0 {
				return nil, fmt.Errorf("bytes = %d: %w: want 0, for all that is idle, or more", b.Bytes, ErrInvalid)
			}
			return d.WriteBack(ctx, b.Bytes)
		},
		"POST /v1/drain": begin(d.Drain),
		"POST /v1/stop":  begin(d.Stop),
		"POST /v1/reload": func(ctx context.Context, r *http.Request) (any, error) {
			if err := body(r, &struct{}{}); err != nil {
				return nil, err
			}
			c, err := d.Reload(ctx)
			return changesAnswer{list(c)}, err
		},
		"POST /v1/upgrade": func(ctx context.Context, r *http.Request) (any, error) {
			var b upgradeRequest
			if err := body(r, &b); err != nil {
				return nil, err
			}
			err := d.Upgrade(ctx, b.Program)
			return begunAnswer{d.Info().State}, err
		},
		"PUT /v1/settings/{key}": func(ctx context.Context, r *http.Request) (any, error) {
			var b setRequest
			if err := body(r, &b); err != nil {
				return nil, err
			}
			return d.Set(ctx, r.PathValue("key"), b.Value)
		},
	}
}

// routes is all that the socket answers.
func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, read := range h.reads() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h.inTurn(w, r, func() answer { return newAnswer(read()) })
		})
	}
	for pattern, change := range h.changes() {
		mux.HandleFunc(pattern, h.forMasters(change))
	}
	mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		answer{http.StatusOK, jsonType, openapi}.write(w)
	})
	h.addMetrics(mux)
	return h.guard(mux)
}

// metricsOnly is all that TCP answers.
func (h *handler) metricsOnly() http.Handler {
	mux := http.NewServeMux()
	h.addMetrics(mux)
	return h.guard(mux)
}

func (h *handler) addMetrics(mux *http.ServeMux) {
	if h.metrics == nil {
		return
	}
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		h.inTurn(w, r, func() answer {
			rec := recorder{header: w.Header()}
			h.metrics.ServeHTTP(&rec, r)
			return rec.answer()
		})
	})
}

// forMasters is a call that changes something. It does not wait for a turn: root may stop a daemon that is asked too much.
func (h *handler) forMasters(change func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p, _ := r.Context().Value(peerKey{}).(peer); !p.master() {
			failure(http.StatusForbidden, fmt.Sprintf("only root may do that, and this is user %d", p.uid)).write(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(workDeadline + answerDeadline))
		ctx, stop := context.WithTimeout(r.Context(), workDeadline)
		defer stop()
		v, err := change(ctx, r)
		if err != nil {
			failure(codeOf(err), err.Error()).write(w)
			return
		}
		newAnswer(v, http.StatusOK).write(w)
	}
}

// list is what a nil slice is in JSON, too.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
