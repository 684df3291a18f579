package packages

import (
	"net/http"

	"slipway/api"
)

// managingRows are the documented operations and the upload. Mind the statuses: changing a package answers 201, changing
// anything else 200.
func (s *surface) managingRows() []api.Row {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	const created, gone = http.StatusCreated, http.StatusNoContent
	return []api.Row{
		{Method: get, Path: "/packages", Operation: "getAListOfPackages", Permission: s.inOrganization("package:read"),
			Handler: api.Handle(s.listPackages), Summary: "The packages of the caller's organization."},
		{Method: get, Path: "/packages/{id}", Operation: "getASpecificPackage", Permission: s.ofPackage("package:read"),
			Handler: api.Handle(s.getPackage), Summary: "A package."},
		{Method: post, Path: "/packages", Operation: "createAPackage", Permission: s.inOrganization("package:create"), Success: created,
			Handler: api.Handle(s.createPackage), Summary: "Add a package."},
		{Method: put, Path: "/packages/{id}", Operation: "updateAPackage", Permission: s.ofPackage("package:update"), Success: created,
			Handler: api.Handle(s.updatePackage), Summary: "Change a package. Members that are left out stay as they are."},
		{Method: patch, Path: "/packages/{id}", Operation: "patchAPackage", Permission: s.ofPackage("package:update"), Success: created,
			Handler: api.Handle(s.updatePackage), Summary: "Change a package, like PUT."},
		{Method: del, Path: "/packages/{id}", Operation: "deleteAPackage", Permission: s.ofPackage("package:delete"), Success: gone,
			Handler: api.Handle(s.deletePackage), Summary: "Delete a package with its versions and permissions."},

		{Method: get, Path: "/versions/package/{id}", Operation: "getAListOfVersionsForASpecifiedPackage", Permission: s.ofPackage("version:read"),
			Handler: api.Handle(s.listVersions), Summary: "The versions of a package."},
		{Method: post, Path: "/versions/package/{id}", Operation: "createAVersion", Permission: s.ofPackage("version:create"), Success: created,
			Handler: api.Handle(s.createVersion), Summary: "Add a version to a package."},
		{Method: get, Path: "/versions/{id}", Operation: "getASpecificVersion", Permission: s.ofVersion("version:read"),
			Handler: api.Handle(s.getVersion), Summary: "A version."},
		{Method: put, Path: "/versions/{id}", Operation: "updateAVersion", Permission: s.ofVersion("version:update"),
			Handler: api.Handle(s.updateVersion), Summary: "Change a version. Members that are left out stay as they are."},
		{Method: patch, Path: "/versions/{id}", Operation: "patchAVersion", Permission: s.ofVersion("version:update"),
			Handler: api.Handle(s.updateVersion), Summary: "Change a version, like PUT."},
		{Method: del, Path: "/versions/{id}", Operation: "deleteAVersion", Permission: s.ofVersion("version:delete"), Success: gone,
			Handler: api.Handle(s.deleteVersion), Summary: "Delete a version."},
		{Method: put, Path: "/versions/{id}/archive", Operation: "uploadArchive", Permission: s.ofVersion("version:update"),
			Handler: api.Stream(s.uploadArchive), Summary: "Upload the zip archive of a version."},

		{Method: get, Path: "/consumers", Operation: "getAListOfConsumers", Permission: s.inOrganization("consumer:read"),
			Handler: api.Handle(s.listConsumers), Summary: "The consumers of the caller's organization."},
		{Method: get, Path: "/consumers/email/{email}", Operation: "getAListOfConsumersFilteredByAnEmail", Permission: s.inOrganization("consumer:read"),
			Handler: api.Handle(s.listConsumersByEmail), Summary: "The consumers with an e-mail address."},
		{Method: get, Path: "/consumers/{id}", Operation: "getASpecificConsumer", Permission: s.ofConsumer("consumer:read"),
			Handler: api.Handle(s.getConsumer), Summary: "A consumer."},
		{Method: post, Path: "/consumers", Operation: "createAConsumer", Permission: s.inOrganization("consumer:create"), Success: created,
			Handler: api.Handle(s.createConsumer), Summary: "Add a consumer. Keys that are not given are made."},
		{Method: put, Path: "/consumers/{id}", Operation: "updateAConsumer", Permission: s.ofConsumer("consumer:update"),
			Handler: api.Handle(s.updateConsumer), Summary: "Change a consumer. Members that are left out stay as they are."},
		{Method: patch, Path: "/consumers/{id}", Operation: "patchAConsumer", Permission: s.ofConsumer("consumer:update"),
			Handler: api.Handle(s.updateConsumer), Summary: "Change a consumer, like PUT."},
		{Method: del, Path: "/consumers/{id}", Operation: "deleteAConsumer", Permission: s.ofConsumer("consumer:delete"), Success: gone,
			Handler: api.Handle(s.deleteConsumer), Summary: "Delete a consumer with its permissions. Its keys are refused at once."},
		{Method: get, Path: "/consumers/{id}/packages", Operation: "getAListOfPackagesForASpecifiedConsumer", Permission: s.ofConsumer("permission:read"),
			Handler: api.Handle(s.listPackagesOfConsumer), Summary: "The packages that a consumer has a permission for."},
		{Method: get, Path: "/consumers/{consumerId}/packages/{packageId}", Operation: "getConsumerPackagePermissions",
			Permission: s.ofConsumer("permission:read"), Handler: api.Handle(s.listPermissions), Summary: "The permissions of a consumer for a package."},

		{Method: get, Path: "/permissions/consumer/{consumerId}/package/{packageId}", Operation: "getAListOfAPermissionsForASpecifiedConsumerAndPackage",
			Permission: s.ofConsumer("permission:read"), Handler: api.Handle(s.listPermissions), Summary: "The permissions of a consumer for a package."},
		{Method: get, Path: "/permissions/{id}", Operation: "getASpecificPermission", Permission: s.ofPermission("permission:read"),
			Handler: api.Handle(s.getPermission), Summary: "A permission."},
		{Method: post, Path: "/permissions", Operation: "createAPermissionForASpecificCustomerAndPackage",
			Permission: s.inOrganization("permission:create"), Success: created, Handler: api.Handle(s.createPermission),
			Summary: "Admit a consumer to versions of a package."},
		{Method: put, Path: "/permissions/{id}", Operation: "updateASpecificPermission", Permission: s.ofPermission("permission:update"),
			Handler: api.Handle(s.updatePermission), Summary: "Change a permission. Members that are left out stay as they are."},
		{Method: patch, Path: "/permissions/{id}", Operation: "patchASpecificPermission", Permission: s.ofPermission("permission:update"),
			Handler: api.Handle(s.updatePermission), Summary: "Change a permission, like PUT."},
		{Method: del, Path: "/permissions/{id}", Operation: "deleteASpecificPermission", Permission: s.ofPermission("permission:delete"), Success: gone,
			Handler: api.Handle(s.deletePermission), Summary: "Take a permission away."},
	}
}
