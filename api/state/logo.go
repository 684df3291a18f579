package state

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
)

// maxLogo is the size of a logo in bytes, decoded.
const maxLogo = 512 << 10

// logoTypes are the images that a logo may be. SVG is not one: a browser runs scripts in it.
var logoTypes = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true}

// decodeLogo reads base64, also with the prefix of a data URL, and looks at the bytes for what they are, whatever they
// are said to be.
func decodeLogo(text string) ([]byte, error) {
	if text == "" {
		return []byte{}, nil
	}
	if strings.HasPrefix(text, "data:") {
		_, rest, ok := strings.Cut(text, ";base64,")
		if !ok {
			return nil, problem.BadField("logo", "expected the image as base64")
		}
		text = rest
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, problem.BadField("logo", "expected the image as base64")
	}
	if len(b) > maxLogo {
		return nil, problem.BadField("logo", "at most %d bytes", maxLogo)
	}
	if !logoTypes[http.DetectContentType(b)] {
		return nil, problem.BadField("logo", "expected a PNG, JPEG, GIF or WebP image")
	}
	return b, nil
}

// logo gives the image with the type of its bytes.
func (s *surface) logo(ctx context.Context, _ *projectRequest) (api.Response, error) {
	b, err := s.Store.ProjectLogo(ctx, projectID(ctx))
	if err != nil {
		return api.Response{}, missing(err, "the project has no logo")
	}
	return api.Response{ContentType: http.DetectContentType(b), Body: b,
		Header: http.Header{"Content-Security-Policy": {"default-src 'none'; sandbox"}}}, nil
}
