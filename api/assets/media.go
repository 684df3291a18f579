package assets

import (
	"mime"
	"net/http"
	"strings"

	"slipway/assets"
	"slipway/internal/problem"
)

// checkContentType refuses a body that is not JSON:API. The parameter ext names an extension, of which there are none;
// profile may be ignored; anything else JSON:API forbids.
func checkContentType(r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && media == mediaType && onlyProfile(params) {
		return nil
	}
	return problem.New(problem.Unsupported, "expected a body of the type %s", mediaType)
}

func onlyProfile(params map[string]string) bool {
	for name := range params {
		if name != "profile" {
			return false
		}
	}
	return true
}

// checkAccept refuses a request that takes JSON:API only with parameters that do not exist here.
func checkAccept(r *http.Request) error {
	named := false
	for _, header := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(header, ",") {
			media, params, err := mime.ParseMediaType(strings.TrimSpace(item))
			if err != nil || media != mediaType {
				continue
			}
			named = true
			delete(params, "q")
			if onlyProfile(params) {
				return nil
			}
		}
	}
	if !named {
		return nil
	}
	p := assets.BadParameter("", "not-acceptable", "expected "+mediaType+" in Accept, without parameters but profile").(*problem.Error)
	p.Cause.(*assets.Fault).Status = http.StatusNotAcceptable
	return p
}
