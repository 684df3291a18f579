package engine

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// download fetches the downloads of the node's stage.
func (r *run) download(ctx context.Context, n *node) error {
	for _, d := range n.m.Downloads {
		if !release.InScope(d.Scopes, n.stage) || d.Platform != "" && d.Platform != runtime.GOOS || d.Arch != "" && d.Arch != runtime.GOARCH {
			continue
		}
		if err := r.downloadOne(ctx, n, d); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &Failure{Reason: ReasonMissing, Message: fmt.Sprintf("the download of %s for %s: %s", d.URL, n.label(), err), Err: err}
		}
	}
	return nil
}

func (r *run) downloadOne(ctx context.Context, n *node, d release.Download) error {
	scope := r.scope(n)
	url, err := expr.EvaluateString(d.URL, scope)
	if err != nil {
		return err
	}
	dest, err := expr.EvaluateString(d.Dest, scope)
	if err != nil {
		return err
	}
	if !release.SafePath(dest) {
		return fmt.Errorf("the path '%s' leaves the folder of the release", dest)
	}
	target := path.Join(n.rel, dest)
	for _, glob := range d.IfNotExists {
		if matches, _ := fs.Glob(r.root.FS(), path.Join(n.rel, glob)); len(matches) > 0 {
			return nil
		}
	}
	if _, err := r.root.Lstat(target); err == nil && !d.Overwrite {
		return nil
	}
	if r.Downloads == nil {
		return errors.New("downloads are not possible here")
	}
	// The file arrives in a folder outside of the release's, which no script can change, and is then copied in.
	scratch, err := os.MkdirTemp("", "slipway-download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	arrived := filepath.Join(scratch, "file")
	r.log(LevelInfo, "download.start", fmt.Sprintf("Downloading %s.", d.URL), n.values())
	if err := r.Downloads.Download(ctx, url, arrived); err != nil {
		return err
	}
	if err := r.copyIn(arrived, target); err != nil {
		return err
	}
	if d.Unpack {
		return r.unpackDownload(arrived, target)
	}
	return nil
}

func (r *run) copyIn(from, target string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return r.writeFrom(target, source, 0o644)
}

// writeFrom is write for a stream.
func (r *run) writeFrom(name string, content io.Reader, mode os.FileMode) error {
	if err := r.write(name, nil, mode); err != nil {
		return err
	}
	file, err := r.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// unpackDownload unpacks a .zip, .tgz, .tar.gz or .tar into the folder that it was downloaded to.
func (r *run) unpackDownload(file, target string) error {
	dir, name := path.Dir(target), strings.ToLower(target)
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	switch {
	case strings.HasSuffix(name, ".zip"):
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		return r.unpackZip(opened, info.Size(), dir)
	case strings.HasSuffix(name, ".tgz"), strings.HasSuffix(name, ".tar.gz"):
		compressed, err := gzip.NewReader(opened)
		if err != nil {
			return err
		}
		defer compressed.Close()
		return r.unpackTar(compressed, dir)
	case strings.HasSuffix(name, ".tar"):
		return r.unpackTar(opened, dir)
	}
	return fmt.Errorf("'%s' cannot be unpacked: expected .zip, .tgz, .tar.gz or .tar", path.Base(target))
}

// allowance counts what unpacking may still write.
type allowance struct {
	files int
	bytes int64
}

func (r *run) allowance() *allowance {
	return &allowance{files: r.limits().Entries, bytes: r.limits().Bytes}
}

// take writes one file of an archive, if its path is safe and the limits hold.
func (a *allowance) take(r *run, dir, name string, mode os.FileMode, content io.Reader) error {
	clean := strings.TrimPrefix(path.Clean(name), "./")
	if !release.SafePath(clean) {
		return fmt.Errorf("the archive has a path that leaves its folder: '%s'", name)
	}
	if a.files--; a.files < 0 {
		return errors.New("the archive has too many files")
	}
	limited := &io.LimitedReader{R: content, N: a.bytes + 1}
	before := limited.N
	if err := r.writeFrom(path.Join(dir, clean), limited, mode.Perm()|0o600); err != nil {
		return err
	}
	if a.bytes -= before - limited.N; a.bytes < 0 {
		return errors.New("the archive is too large once it is unpacked")
	}
	return nil
}

func (r *run) unpackTar(content io.Reader, dir string) error {
	archive, allowed := tar.NewReader(content), r.allowance()
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			if err := allowed.take(r, dir, h.Name, fs.FileMode(h.Mode), archive); err != nil {
				return err
			}
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return fmt.Errorf("the archive has a link or a special file, which is not supported: '%s'", h.Name)
		}
	}
}

func (r *run) unpackZip(content io.ReaderAt, size int64, dir string) error {
	archive, err := zip.NewReader(content, size)
	if err != nil {
		return err
	}
	allowed := r.allowance()
	for _, file := range archive.File {
		if file.FileInfo().IsDir() {
			continue
		}
		if !file.Mode().IsRegular() {
			return fmt.Errorf("the archive has a link or a special file, which is not supported: '%s'", file.Name)
		}
		opened, err := file.Open()
		if err != nil {
			return err
		}
		err = allowed.take(r, dir, file.Name, file.Mode(), opened)
		opened.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
