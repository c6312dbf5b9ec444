package control

import (
	"maps"
	"slices"
)

// Patterns lists all that the socket answers.
func Patterns(d Daemon) []string {
	h := handler{daemon: d}
	all := []string{"GET /metrics", "GET /v1/openapi.json"}
	all = slices.AppendSeq(all, maps.Keys(h.reads()))
	return slices.Sorted(slices.Values(slices.AppendSeq(all, maps.Keys(h.changes()))))
}

// DraftOf is draftOf.
var DraftOf = draftOf
