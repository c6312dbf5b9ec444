package control_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/controltest"
)

// web is a plain HTTP client on the socket.
func web(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
}

// described loads the description that the server serves, and makes it forbid what it does not mention.
func described(t testing.TB, path string) *openapi3.T {
	t.Helper()
	a, err := web(path).Get("http://zswapd/v1/openapi.json")
	noErr(t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	noErr(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	noErr(t, err)
	noErr(t, doc.Validate(context.Background()))
	for _, s := range doc.Components.Schemas {
		if s.Value.Type.Is("object") && s.Value.AdditionalProperties.Schema == nil {
			s.Value.AdditionalProperties.Has = new(bool)
		}
	}
	return doc
}

// bodies are requests that get something done, or asked, by path.
var bodies = map[string]string{
	"/v1/settings/{key}": `{"value":"3145728"}`, "/v1/drain": `{"force":true}`, "/v1/stop": `{}`, "/v1/writeback": `{"bytes":4096}`,
	"/v1/upgrade": `{"program":"/usr/bin/zswapd"}`,
}

// Everything that the description names answers, and each answer has all the fields that are described, and no others.
func TestAnswersAreAsDescribed(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("one 1\n"))
	})
	for name, d := range map[string]*controltest.Daemon{"busy": busy(t), "new": controltest.New(t, 64, 1<<20)} {
		t.Run(name, func(t *testing.T) {
			path := start(t, d, control.Options{Metrics: metrics})
			doc := described(t, path)
			router, err := gorillamux.NewRouter(doc)
			noErr(t, err)
			codes := map[int]int{}
			for _, target := range slices.Sorted(slices.Values(doc.Paths.InMatchingOrder())) {
				for method := range doc.Paths.Find(target).Operations() {
					codes[checked(t, router, path, method, target)]++
				}
			}
			d.Trouble("a test")
			codes[checked(t, router, path, "GET", "/v1/health")]++
			if codes[200] < 10 || codes[409] == 0 || codes[501] == 0 || codes[503] == 0 {
				t.Errorf("codes %v", codes)
			}
		})
	}
}

// checked sends one request, compares it and the answer with the description, and returns the code.
func checked(t *testing.T, router routers.Router, socket, method, target string) int {
	t.Helper()
	body := bodies[target]
	r, err := http.NewRequest(method, "http://zswapd"+strings.ReplaceAll(target, "{key}", "pool.limit"), strings.NewReader(body))
	noErr(t, err)
	r.Header.Set("Content-Type", "application/json")
	route, params, err := router.FindRoute(r)
	noErr(t, err)
	request := &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	if body != "" {
		noErr(t, openapi3filter.ValidateRequest(t.Context(), request))
		r.Body = io.NopCloser(strings.NewReader(body))
	}
	a, err := web(socket).Do(r)
	noErr(t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	noErr(t, err)
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: a.StatusCode, Header: a.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: request.Options,
	})
	if err != nil {
		t.Errorf("%s %s: %s\n%s\n%v", method, target, a.Status, text, err)
	}
	return a.StatusCode
}

// The routes are those that are described.
func TestRoutesAreDescribed(t *testing.T) {
	d := busy(t)
	doc := described(t, start(t, d, control.Options{}))
	var want []string
	for target, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+target)
		}
	}
	slices.Sort(want)
	if got := control.Patterns(d); !slices.Equal(got, want) {
		t.Errorf("routes %q\ndescribed %q", got, want)
	}
}
