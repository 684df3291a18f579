package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Package is a Composer package.
type Package struct {
	ID          int64  `json:"id,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      int    `json:"status"` // 1 for those that consumers see
}

// PackageVersion is a version of a package.
type PackageVersion struct {
	ID        int64  `json:"id,omitempty"`
	PackageID int64  `json:"package_id,omitempty"`
	Name      string `json:"name"`
	Filename  string `json:"filename,omitempty"`
	Status    int    `json:"status"`
	Size      int64  `json:"size,omitempty"` // of its archive in bytes; 0 where it has none
	SHA256    string `json:"sha256,omitempty"`
	Downloads int64  `json:"downloads,omitempty"`
}

// PackageConsumer is somebody who may install packages, with the keys for it.
type PackageConsumer struct {
	ID         int64  `json:"id,omitempty"`
	Email      string `json:"email"`
	PublicKey  string `json:"public_key,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
}

// PackagePermission admits a consumer to the versions of a package that a constraint matches.
type PackagePermission struct {
	ID         int64  `json:"id,omitempty"`
	ConsumerID int64  `json:"consumer_id"`
	PackageID  int64  `json:"package_id"`
	Version    string `json:"version"`
}

// Packages lists the packages of the caller's organization.
func (c *Client) Packages(ctx context.Context) ([]Package, error) {
	var list []Package
	return list, c.packages(ctx, http.MethodGet, "/packages", nil, &list)
}

// CreatePackage adds a package and fills in its id.
func (c *Client) CreatePackage(ctx context.Context, p *Package) error {
	return c.packages(ctx, http.MethodPost, "/packages", p, p)
}

// PackageVersions lists the versions of a package.
func (c *Client) PackageVersions(ctx context.Context, packageID int64) ([]PackageVersion, error) {
	var list []PackageVersion
	return list, c.packages(ctx, http.MethodGet, fmt.Sprintf("/versions/package/%d", packageID), nil, &list)
}

// CreatePackageVersion adds a version to a package and fills in its id.
func (c *Client) CreatePackageVersion(ctx context.Context, packageID int64, v *PackageVersion) error {
	return c.packages(ctx, http.MethodPost, fmt.Sprintf("/versions/package/%d", packageID), v, v)
}

// UploadPackageArchive gives a version its archive, a zip file.
func (c *Client) UploadPackageArchive(ctx context.Context, versionID int64, archive io.Reader) (*PackageVersion, error) {
	response, err := c.send(ctx, http.MethodPut, fmt.Sprintf("/versions/%d/archive", versionID), archive, "application/json")
	if err != nil {
		return nil, packageError(err)
	}
	defer response.Body.Close()
	var v PackageVersion
	return &v, json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&v)
}

// PackageConsumers lists the consumers with an e-mail address.
func (c *Client) PackageConsumers(ctx context.Context, email string) ([]PackageConsumer, error) {
	var list []PackageConsumer
	return list, c.packages(ctx, http.MethodGet, path("/consumers/email/%s", email), nil, &list)
}

// CreatePackageConsumer adds a consumer, and fills in its id and the keys that it was not given.
func (c *Client) CreatePackageConsumer(ctx context.Context, consumer *PackageConsumer) error {
	return c.packages(ctx, http.MethodPost, "/consumers", consumer, consumer)
}

// CreatePackagePermission admits a consumer to versions of a package and fills in the permission's id.
func (c *Client) CreatePackagePermission(ctx context.Context, p *PackagePermission) error {
	return c.packages(ctx, http.MethodPost, "/permissions", p, p)
}

func (c *Client) packages(ctx context.Context, method, path string, body, result any) error {
	return packageError(c.call(ctx, method, path, body, result))
}

// packageError makes the JSON errors of the surface readable.
func packageError(err error) error {
	var answer *Error
	if !errors.As(err, &answer) {
		return err
	}
	var said struct {
		Message string              `json:"message"`
		Errors  map[string][]string `json:"errors"`
	}
	if json.Unmarshal([]byte(answer.Body), &said) != nil || said.Message == "" {
		return err
	}
	var parts []string
	for name, messages := range said.Errors {
		parts = append(parts, name+" "+strings.Join(messages, ", "))
	}
	slices.Sort(parts)
	text := *answer
	text.Body = said.Message
	if len(parts) > 0 {
		text.Body = strings.Join(parts, "; ")
	}
	return &text
}
