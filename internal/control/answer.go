package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

const jsonType = "application/json"

// errorAnswer is the body of every answer that is no success.
type errorAnswer struct {
	Error string `json:"error"`
}

// answer is a whole answer, made before any of it is sent: a client that reads slowly holds up nobody's turn.
type answer struct {
	code int
	kind string // its media type; "" leaves it as it is
	body []byte
}

// newAnswer is v in JSON. One that has none is a bug of ours.
func newAnswer(v any, code int) answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("control: %T in JSON: %v", v, err))
	}
	return answer{code, jsonType, append(b, '\n')}
}

func failure(code int, text string) answer { return newAnswer(errorAnswer{text}, code) }

func (a answer) write(w http.ResponseWriter) {
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body) // the client may be gone
}

// codeOf is the code for an error of a Daemon's, or of a body.
func codeOf(err error) int {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, ErrRefused):
		return http.StatusConflict
	case errors.Is(err, ErrUnsupported):
		return http.StatusNotImplemented
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// body reads a request's JSON into v, which is left as it is if there is none. It takes one value, with no fields but v's.
func body(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err == nil {
			err = errors.New("something comes after the JSON value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fmt.Errorf("the request's body: %w", err)
	}
	return fmt.Errorf("%w body: %w", ErrInvalid, err)
}

// inTurn makes an answer when it is the request's turn, and sends it when the next one may have his.
func (h *handler) inTurn(w http.ResponseWriter, r *http.Request, make func() answer) {
	late := time.NewTimer(turnDeadline)
	defer late.Stop()
	select {
	case h.turns <- struct{}{}:
	case <-late.C:
		failure(http.StatusServiceUnavailable, "too many requests at a time").write(w)
		return
	case <-r.Context().Done():
		return
	}
	h.turn(make).write(w)
}

func (h *handler) turn(make func() answer) answer {
	defer func() { <-h.turns }()
	return make()
}

// guard answers what no route does in the form of all answers, and panics, too: the pages are worth more than the answer.
func (h *handler) guard(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if h.log != nil {
					h.log(fmt.Sprintf("control: %s %q: %v\n%s", r.Method, r.URL.Path, p, debug.Stack()))
				}
				failure(http.StatusInternalServerError, "a bug in zswapd; its log has more").write(w)
			}
		}()
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		rec := recorder{header: http.Header{}}
		handler.ServeHTTP(&rec, r)
		if allow := rec.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			failure(http.StatusMethodNotAllowed, r.Method+": want "+allow).write(w)
			return
		}
		failure(http.StatusNotFound, "no such path; /v1/openapi.json lists them").write(w)
	})
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is what the answer's header will be.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the code.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
}

// Write keeps the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) answer() answer {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return answer{r.code, "", r.body.Bytes()}
}
