package executions

import (
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// encodingEncrypted marks the payloads that the codec made.
const encodingEncrypted = "binary/slipway-encrypted"

// codec encrypts payloads before they reach Temporal, with the key that encrypts the database's secrets. Histories carry
// references only, so this hides names and reasons rather than secrets.
type codec struct{ sealer Sealer }

// NewCodec makes a payload codec. The Web UI reads such histories through the codec endpoint.
func NewCodec(s Sealer) converter.PayloadCodec { return codec{s} }

// Encode implements converter.PayloadCodec.
func (c codec) Encode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(in))
	for i, p := range in {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		sealed, err := c.sealer.Encrypt(plain, "temporal/payload")
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encodingEncrypted)}, Data: sealed}
	}
	return out, nil
}

// Decode implements converter.PayloadCodec. Payloads in the clear, from before encryption was turned on, pass.
func (c codec) Decode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(in))
	for i, p := range in {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted {
			out[i] = p
			continue
		}
		plain, err := c.sealer.Decrypt(p.GetData(), "temporal/payload")
		if err != nil {
			return nil, fmt.Errorf("decrypt a payload: %w", err)
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
