package own

import (
	"context"
	"net/http"

	commonpb "go.temporal.io/api/common/v1"

	"slipway/api"
	"slipway/internal/problem"
)

// CodecPath is the address of the remote codec, to which Temporal's Web UI and command line add /decode.
const CodecPath = base + "temporal"

// Payload is a payload of a Temporal history, in the JSON form of Temporal's own API: bytes are base64.
type Payload struct {
	Metadata map[string][]byte `json:"metadata,omitempty"`
	Data     []byte            `json:"data,omitempty"`
}

// Payloads are the request and the answer of a remote codec, as Temporal's Web UI and command line speak to one. The Web
// UI sends what stands on one page of a history.
type Payloads struct {
	Payloads []Payload `json:"payloads" validate:"max=5000"`
}

// codecRows let people read encrypted histories. Histories are of all projects at once, so it takes an administrator.
func (s *surface) codecRows() []api.Row {
	return []api.Row{
		{Method: http.MethodPost, Path: CodecPath + "/decode", Operation: "decodePayloads", Summary: "Decrypt payloads of workflow histories, for Temporal's Web UI and command line.",
			Permission: api.Permission{Action: "installation:read"}, Handler: api.Handle(s.decodePayloads), MaxBody: 16 << 20},
	}
}

type decodePayloadsRequest struct {
	Body Payloads `body:"json"`
}

func (s *surface) decodePayloads(_ context.Context, r *decodePayloadsRequest) (Payloads, error) {
	in := make([]*commonpb.Payload, len(r.Body.Payloads))
	for i, p := range r.Body.Payloads {
		in[i] = &commonpb.Payload{Metadata: p.Metadata, Data: p.Data}
	}
	out, err := s.Codec.Decode(in)
	if err != nil {
		return Payloads{}, problem.Wrap(problem.Invalid, err, "one of the payloads was not encrypted with this installation's key, or is damaged")
	}
	res := Payloads{Payloads: make([]Payload, len(out))}
	for i, p := range out {
		res.Payloads[i] = Payload{Metadata: p.GetMetadata(), Data: p.GetData()}
	}
	return res, nil
}
