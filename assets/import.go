package assets

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// A batch is written in one transaction: so many lines, or fewer where they are long.
const (
	importBatch      = 10_000
	importBatchBytes = 32 << 20
)

// maxImportLine is the size of the longest line in bytes.
const maxImportLine = 4 << 20

// ImportOptions tune an import.
type ImportOptions struct {
	// OrganizationID gets the assets.
	OrganizationID string
	// Progress, where set, is called after each batch with the bytes and lines that are done.
	Progress func(bytes, lines int64)
	// SkipBad goes on after lines that are wrong; else the first one ends the import.
	SkipBad bool
	// Bad, where set, is told of each line that was skipped.
	Bad func(line int64, err error)
}

// ImportResult counts what an import did. Lines that an earlier run of the same import wrote are in Lines and Created.
type ImportResult struct {
	Lines, Created, Updated, Bad int64
	// ResumedAt is the line behind which it went on, 0 where it began anew.
	ResumedAt int64
}

// LineError says what is wrong with a line of an import.
type LineError struct {
	Line int64 // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// Import reads images as JSON lines, one models.Image each, and writes them in batches. After an interruption the same
// file goes on behind its last batch; a file that was imported to its end is read again from its beginning. Nothing comes
// twice either way, since the id of an asset is made from its image.
//
// Where there are hardly any assets yet, indexes are built after the rows.
func (s *Service) Import(ctx context.Context, file io.ReadSeeker, o ImportOptions) (*ImportResult, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	state, err := s.importState(ctx, file, o.OrganizationID)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(state.ByteOffset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	if _, err := s.store.BeginAssetImport(ctx, size-state.ByteOffset); err != nil {
		return nil, err
	}
	r := &ImportResult{ResumedAt: state.Lines, Created: state.Created}
	err = s.importLines(ctx, file, o, state, r)
	r.Lines = state.Lines
	// Also after a failure: whoever looks at the assets meanwhile needs the indexes.
	if ierr := s.store.EndAssetImport(context.WithoutCancel(ctx)); ierr != nil {
		err = errors.Join(err, fmt.Errorf("build the indexes: %w", ierr))
	}
	return r, err
}

// importState says how far an earlier import of a file into an organization came, nowhere where there was none.
func (s *Service) importState(ctx context.Context, file io.ReadSeeker, organizationID string) (*models.AssetImport, error) {
	source, err := sourceOf(file)
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	state, err := s.store.AssetImportBySource(ctx, organizationID, source)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	if err == nil && !state.Finished {
		same, err := hasChecksum(file, state.ByteOffset, state.Checksum)
		if err != nil {
			return nil, fmt.Errorf("read the file: %w", err)
		}
		if same {
			return state, nil
		}
	}
	return &models.AssetImport{OrganizationID: organizationID, Source: source}, nil
}

// sourceOf names a file by its first megabyte. What follows may be mended, or added to, before an import goes on.
func sourceOf(file io.ReadSeeker) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.CopyN(h, file, 1<<20); err != nil && err != io.EOF {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checksums is the table of the checksum that files are known by. It is one that can be asked for after each line.
var checksums = crc64.MakeTable(crc64.ECMA)

func checksumText(sum uint64) string { return strconv.FormatUint(sum, 16) }

// hasChecksum says whether a file has a checksum up to an offset.
func hasChecksum(file io.ReadSeeker, offset int64, checksum string) (bool, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	h := crc64.New(checksums)
	if _, err := io.CopyN(h, file, offset); err != nil {
		if err == io.EOF {
			err = nil // it is shorter
		}
		return false, err
	}
	return checksumText(h.Sum64()) == checksum, nil
}

// parsedBatch is a batch on its way from the reader of lines to the writer of rows.
type parsedBatch struct {
	number int // from 0
	images []models.Image
	offset int64  // behind its last line
	sum    uint64 // the checksum of the file up to there
	lines  int64
	bad    int64
	err    error // ends the import behind the images
}

// importWriters is how many batches are written at once on PostgreSQL. SQLite has one writer.
const importWriters = 2

// importLines reads and writes at the same time. Batches may be done in another order than they were read in; how far the
// import is counts those without a gap before them.
func (s *Service) importLines(ctx context.Context, file io.Reader, o ImportOptions, state *models.AssetImport, r *ImportResult) error {
	g, writing := errgroup.WithContext(ctx)
	batches := make(chan parsedBatch, 1)
	flying := &importFlight{batches: map[int]flyingBatch{}}
	// The reader must not be in the file any more when this returns: it is the caller's. The group waits for it.
	g.Go(func() error {
		defer close(batches)
		parseLines(writing, file, o, state, func(b parsedBatch) bool {
			if flying.begin(writing, b) != nil {
				return false
			}
			select {
			case batches <- b:
				return true
			case <-writing.Done():
				return false
			}
		})
		return nil
	})
	writers := 1
	if s.store.Dialect() == models.PostgreSQL {
		writers = importWriters
	}
	done := &importProgress{service: s, options: o, state: state, result: r, waiting: map[int]writtenBatch{}}
	for range writers {
		g.Go(func() error {
			for b := range batches {
				result, err := s.store.PutImages(writing, o.OrganizationID, b.images, false)
				if err != nil {
					return fmt.Errorf("write the lines up to %d: %w", b.lines, err)
				}
				flying.end(b.number)
				if err := done.wrote(writing, writtenBatch{b, result}); err != nil {
					return err
				}
			}
			return writing.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	state.Finished = true
	return s.store.PutAssetImport(ctx, state)
}

// writtenBatch is a batch with what writing it did.
type writtenBatch struct {
	parsedBatch
	result models.PutResult
}

// importProgress keeps how far an import is.
type importProgress struct {
	service *Service
	options ImportOptions
	mu      sync.Mutex
	state   *models.AssetImport
	result  *ImportResult
	next    int                  // number of the first batch that is not counted
	waiting map[int]writtenBatch // written, but behind one that is not
}

// wrote counts a batch, and those behind it that waited for it.
func (p *importProgress) wrote(ctx context.Context, b writtenBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[b.number] = b
	for {
		b, ok := p.waiting[p.next]
		if !ok {
			return nil
		}
		delete(p.waiting, p.next)
		p.next++
		p.result.Created, p.result.Updated, p.result.Bad = p.result.Created+b.result.Created, p.result.Updated+b.result.Updated, p.result.Bad+b.bad
		p.state.ByteOffset, p.state.Checksum, p.state.Lines = b.offset, checksumText(b.sum), b.lines
		p.state.Created, p.state.Finished = p.result.Created, false
		// Also of an import that is interrupted just now: its rows are there.
		if err := p.service.store.PutAssetImport(context.WithoutCancel(ctx), p.state); err != nil {
			return err
		}
		if p.options.Progress != nil {
			p.options.Progress(p.state.ByteOffset, p.state.Lines)
		}
		if b.err != nil {
			return b.err
		}
	}
}

// importFlight keeps batches that have an image in common from being written at once: which line is the last would be chance.
type importFlight struct {
	mu      sync.Mutex
	batches map[int]flyingBatch
}

type flyingBatch struct {
	images map[imageKey]struct{}
	done   chan struct{}
}

// imageKey is what an asset's id is made from.
type imageKey struct{ registry, repository, digest string }

// begin waits until no batch is being written that has an image of this one.
func (f *importFlight) begin(ctx context.Context, b parsedBatch) error {
	flying := flyingBatch{images: make(map[imageKey]struct{}, len(b.images)), done: make(chan struct{})}
	for _, img := range b.images {
		flying.images[imageKey{img.Registry, img.Repository, img.ConfigDigest}] = struct{}{}
	}
	f.mu.Lock()
	var others []flyingBatch
	for _, o := range f.batches {
		others = append(others, o)
	}
	f.batches[b.number] = flying
	f.mu.Unlock()
	for _, o := range others {
		for key := range o.images {
			if _, both := flying.images[key]; !both {
				continue
			}
			select {
			case <-o.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			break
		}
	}
	return nil
}

func (f *importFlight) end(number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.batches[number].done)
	delete(f.batches, number)
}

// parseLines gives the lines of a file, from where an import is, to put in batches until the file or ctx ends, or put says
// false.
func parseLines(ctx context.Context, file io.Reader, o ImportOptions, from *models.AssetImport, put func(parsedBatch) bool) {
	in := bufio.NewReaderSize(file, 1<<20)
	b := parsedBatch{offset: from.ByteOffset, lines: from.Lines}
	if from.Checksum != "" {
		b.sum, b.err = strconv.ParseUint(from.Checksum, 16, 64)
	}
	if b.err != nil {
		put(b)
		return
	}
	begun := b.offset
	send := func() bool {
		if !put(b) {
			return false
		}
		begun = b.offset
		b = parsedBatch{number: b.number + 1, offset: b.offset, sum: b.sum, lines: b.lines}
		return true
	}
	if head, _ := in.Peek(4); begun == 0 {
		if tool := packedBy(head); tool != "" {
			b.err = fmt.Errorf("the file is compressed: unpack it with %s first", tool)
			send()
			return
		}
	}
	for ctx.Err() == nil {
		line, n, sum, err := readLine(in, b.sum)
		if err == io.EOF && n == 0 {
			break
		}
		if b.offset == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // the mark of the byte order
		}
		var img models.Image
		switch err {
		case nil, io.EOF:
			err = parseImage(line, &img)
		case errLongLine:
		default:
			b.err = fmt.Errorf("read the file behind line %d: %w", b.lines, err)
			send()
			return
		}
		if err != nil && !o.SkipBad {
			// What stands before the wrong line is kept; whoever mends the line goes on there.
			b.err = &LineError{Line: b.lines + 1, Err: err}
			send()
			return
		}
		b.lines++
		b.offset, b.sum = b.offset+n, sum
		switch {
		case err != nil:
			b.bad++
			if o.Bad != nil {
				o.Bad(b.lines, err)
			}
		case img.ConfigDigest != "":
			b.images = append(b.images, img)
		}
		if (len(b.images) >= importBatch || b.offset-begun >= importBatchBytes) && !send() {
			return
		}
	}
	if len(b.images) > 0 || b.bad > 0 {
		send()
	}
}

// packedBy names the tool that unpacks a file with such a beginning, "" for none.
func packedBy(head []byte) string {
	for magic, tool := range map[string]string{"\x1f\x8b": "gunzip", "\x28\xb5\x2f\xfd": "unzstd", "BZh": "bunzip2", "PK\x03\x04": "unzip"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return tool
		}
	}
	return ""
}

var errLongLine = fmt.Errorf("the line is over the limit of %d bytes", maxImportLine)

// readLine reads a line and gives it without its end, with the number of bytes that it takes and the checksum of the file
// behind it, which sum is before it. Of one that is too long, which is errLongLine, it keeps nothing.
func readLine(in *bufio.Reader, sum uint64) (line []byte, n int64, _ uint64, err error) {
	for {
		var part []byte
		part, err = in.ReadSlice('\n')
		n, sum = n+int64(len(part)), crc64.Update(sum, checksums, part)
		if n <= maxImportLine {
			line = append(line, part...)
		}
		if err != bufio.ErrBufferFull {
			break
		}
	}
	if n > maxImportLine && (err == nil || err == io.EOF) {
		return nil, n, sum, errLongLine
	}
	return bytes.TrimSpace(line), n, sum, err
}

// parseImage reads one line. An empty one is no image.
func parseImage(line []byte, img *models.Image) error {
	if len(line) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(img); err != nil {
		return problem.OfJSON("expected a JSON object of an image", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("expected one JSON object on the line")
	}
	return img.Check()
}

// Report adds what a build has pushed to the assets of an organization: images become assets, and image tags are added to
// those that an asset has.
func (s *Service) Report(ctx context.Context, organizationID string, by policies.Subject, images []models.Image) (models.PutResult, error) {
	for i := range images {
		if err := images[i].Check(); err != nil {
			return models.PutResult{}, ofImage(err, i)
		}
		// What people set is not for builds to set.
		images[i].Class, images[i].Labels, images[i].Tags, images[i].CreatedAt = "", nil, nil, nil
	}
	var result models.PutResult
	err := s.store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if result, err = tx.PutImages(ctx, organizationID, images, true); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{Action: "asset:report", ResourceKind: "organization", ResourceID: organizationID,
			Detail: map[string]any{"images": len(images), "created": result.Created, "updated": result.Updated}}.ActorOf(by))
	})
	return result, err
}

// ofImage says of which image of a report a problem is.
func ofImage(err error, index int) error {
	var p *problem.Error
	if errors.As(err, &p) {
		for i := range p.Fields {
			p.Fields[i].Name = fmt.Sprintf("images[%d].%s", index, p.Fields[i].Name)
		}
	}
	return err
}
