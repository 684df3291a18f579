package packages

import (
	"io"
	"net/http"
	"time"

	"slipway/api"
)

// stall is how long a sender or receiver of an archive may do nothing before the connection is given up.
const stall = time.Minute

// stallReader gives up a connection that sends nothing for too long; a slow one may take its time.
type stallReader struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (s *stallReader) Read(p []byte) (int, error) {
	// Connections that know no deadlines are the tests'.
	_ = s.rc.SetReadDeadline(time.Now().Add(stall))
	n, err := s.ReadCloser.Read(p)
	_ = s.rc.SetReadDeadline(time.Time{})
	return n, err
}

// stallWriter gives up a receiver that takes nothing for too long.
type stallWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (s *stallWriter) Write(p []byte) (int, error) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(stall))
	n, err := s.ResponseWriter.Write(p)
	_ = s.rc.SetWriteDeadline(time.Time{})
	return n, err
}

// uploadArchive reads the body as it comes, whatever its content type says.
func (s *surface) uploadArchive(w http.ResponseWriter, r *api.Request, req *idPath) error {
	body := io.ReadCloser(&stallReader{ReadCloser: r.HTTP.Body, rc: http.NewResponseController(w)})
	if s.MaxArchive > 0 {
		body = http.MaxBytesReader(w, body, s.MaxArchive)
	}
	v, err := s.Service.Upload(r.HTTP.Context(), req.ID, body, r.Subject)
	if err != nil {
		// A client that sends everything before it reads the answer must not find a closed connection instead.
		_, _ = io.CopyN(io.Discard, body, 16<<20)
		return err
	}
	api.WriteJSON(w, r.HTTP, http.StatusOK, viewVersion(v))
	return nil
}
