package packages

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"slipway/models"
	"slipway/packages"
)

// stamp is a time as the document writes it: Y-m-d H:i:s in UTC.
type stamp string

func stampOf(t time.Time) stamp { return stamp(t.UTC().Format(time.DateTime)) }

// number is an integer of a request. Clients that build their requests from forms send it as text.
type number int64

// UnmarshalJSON reads 5, "5", and for statuses true and false.
func (n *number) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch text {
	case "true":
		*n = 1
		return nil
	case "false":
		*n = 0
		return nil
	}
	if len(b) > 1 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "something else", Type: reflect.TypeFor[int64]()}
	}
	*n = number(v)
	return nil
}

func (n *number) int() *int {
	if n == nil {
		return nil
	}
	v := int(*n)
	return &v
}

func (n *number) int64() *int64 { return (*int64)(n) }

// shown is what the caller sees of a row, or the error that there is instead of one.
func shown[T, V any](row *T, err error, view func(*T) V) (V, error) {
	if err != nil {
		var none V
		return none, err
	}
	return view(row), nil
}

type packageView struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      int    `json:"status"`
	CreatedAt   stamp  `json:"created_at"`
	UpdatedAt   stamp  `json:"updated_at"`
}

func viewPackage(p *models.Package) packageView {
	return packageView{p.ID, p.Name, p.Description, p.Status, stampOf(p.CreatedAt), stampOf(p.UpdatedAt)}
}

type versionView struct {
	ID        int64  `json:"id"`
	PackageID int64  `json:"package_id"`
	Name      string `json:"name"`
	Filename  string `json:"filename"`
	Status    int    `json:"status"`
	CreatedAt stamp  `json:"created_at"`
	UpdatedAt stamp  `json:"updated_at"`
	// Of the archive, where there is one.
	Size      int64  `json:"size,omitempty"`
	SHA1      string `json:"sha1,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Downloads int64  `json:"downloads,omitempty"`
}

func viewVersion(v *models.PackageVersion) versionView {
	return versionView{v.ID, v.PackageID, v.Name, v.Filename, v.Status, stampOf(v.CreatedAt), stampOf(v.UpdatedAt), v.ArchiveSize, v.ArchiveSHA1, v.ArchiveSHA256, v.Downloads}
}

type consumerView struct {
	ID         int64  `json:"id"`
	Email      string `json:"email"`
	PublicKey  string `json:"public_key"`
	PrivateKey string `json:"private_key"`
	CreatedAt  stamp  `json:"created_at"`
	UpdatedAt  stamp  `json:"updated_at"`
}

func viewConsumer(c *packages.Consumer) consumerView {
	return consumerView{c.ID, c.Email, c.PublicKey, c.PrivateKey, stampOf(c.CreatedAt), stampOf(c.UpdatedAt)}
}

type permissionView struct {
	ID         int64  `json:"id"`
	ConsumerID int64  `json:"consumer_id"`
	PackageID  int64  `json:"package_id"`
	Version    string `json:"version"`
	CreatedAt  stamp  `json:"created_at"`
	UpdatedAt  stamp  `json:"updated_at"`
}

func viewPermission(p *models.PackagePermission) permissionView {
	return permissionView{p.ID, p.ConsumerID, p.PackageID, p.Version, stampOf(p.CreatedAt), stampOf(p.UpdatedAt)}
}
