"""Google's predefined roles, as far as projects on the local cloud use them: role → permissions."""

from fnmatch import fnmatchcase

PROJECT = ("resourcemanager.projects.get", "resourcemanager.projects.list")
OBJECTS_READ = ("storage.objects.get", "storage.objects.list")
PARTS = ("storage.multipartUploads.create", "storage.multipartUploads.abort")
TABLES_READ = ("bigquery.datasets.get", "bigquery.tables.get", "bigquery.tables.list")
TOKENS = ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken")
IMAGES_READ = ("artifactregistry.repositories.downloadArtifacts", "artifactregistry.*.get")

# A star stands for anything; the real roles hold more permissions, of calls that are not served here.
ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/editor": (  # on buckets and their objects by legacy bindings, which it has everywhere
        *(*PROJECT, "storage.buckets.get", "storage.buckets.list", "storage.objects.*"),
        *("storage.multipartUploads.*", "bigquery.*", "aiplatform.*", "artifactregistry.*"),
        *(
            "monitoring.*",
            "iam.serviceAccounts.actAs",
            "iam.serviceAccounts.get",
            "iam.serviceAccounts.list",
        ),
    ),
    "roles/browser": (*PROJECT, "resourcemanager.projects.getIamPolicy"),
    "roles/resourcemanager.projectIamAdmin": (*PROJECT, "resourcemanager.projects.*IamPolicy"),
    "roles/secretmanager.admin": (*PROJECT, "secretmanager.*"),
    "roles/secretmanager.secretAccessor": (*PROJECT, "secretmanager.versions.access"),
    "roles/secretmanager.secretVersionAdder": (*PROJECT, "secretmanager.versions.add"),
    "roles/secretmanager.secretVersionManager": (
        *PROJECT,
        *(f"secretmanager.versions.{verb}" for verb in ("add", "destroy", "disable", "enable")),
        *("secretmanager.versions.get", "secretmanager.versions.list"),
    ),
    "roles/secretmanager.viewer": (
        *PROJECT,
        *("secretmanager.*.get", "secretmanager.*.list", "secretmanager.secrets.getIamPolicy"),
    ),
    "roles/cloudkms.admin": (  # makes keys and says who may use them; uses none itself
        *(*PROJECT, "cloudkms.keyRings.*", "cloudkms.cryptoKeys.*"),
        *(f"cloudkms.cryptoKeyVersions.{verb}" for verb in ("create", "destroy", "get", "list")),
        *("cloudkms.cryptoKeyVersions.restore", "cloudkms.cryptoKeyVersions.update"),
    ),
    "roles/cloudkms.publicKeyViewer": (*PROJECT, "cloudkms.cryptoKeyVersions.viewPublicKey"),
    "roles/cloudkms.signer": (*PROJECT, "cloudkms.cryptoKeyVersions.useToSign"),
    "roles/cloudkms.signerVerifier": (
        *(*PROJECT, "cloudkms.cryptoKeyVersions.useToSign"),
        *("cloudkms.cryptoKeyVersions.useToVerify", "cloudkms.cryptoKeyVersions.viewPublicKey"),
    ),
    "roles/cloudkms.viewer": (*PROJECT, "cloudkms.*.get", "cloudkms.*.list"),
    "roles/storage.admin": (*PROJECT, "storage.*"),
    "roles/storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyBucketWriter": (
        *("storage.buckets.get", "storage.objects.list"),
        *("storage.objects.create", "storage.objects.delete", *PARTS),
    ),
    "roles/storage.legacyBucketOwner": (
        *("storage.buckets.get", "storage.buckets.*IamPolicy", "storage.buckets.update"),
        *("storage.objects.create", "storage.objects.delete", "storage.objects.list", *PARTS),
    ),
    "roles/storage.objectViewer": (*PROJECT, *OBJECTS_READ),
    "roles/storage.objectCreator": (*PROJECT, "storage.objects.create", *PARTS),
    "roles/storage.objectUser": (
        *PROJECT,
        *(*OBJECTS_READ, "storage.objects.create", "storage.objects.update", "storage.objects.delete"),
        "storage.multipartUploads.*",
    ),
    "roles/storage.objectAdmin": (*PROJECT, "storage.objects.*", "storage.multipartUploads.*"),
    "roles/bigquery.admin": (*PROJECT, "bigquery.*"),
    "roles/bigquery.dataEditor": (
        *PROJECT,
        "bigquery.datasets.create",
        "bigquery.tables.*",
        *TABLES_READ,
    ),
    "roles/bigquery.dataViewer": (
        *(*PROJECT, *TABLES_READ, "bigquery.tables.getData", "bigquery.tables.export"),
    ),
    "roles/bigquery.jobUser": (*PROJECT, "bigquery.jobs.create"),
    "roles/bigquery.metadataViewer": (*PROJECT, *TABLES_READ),
    "roles/bigquery.user": (
        *(*PROJECT, "bigquery.jobs.create", "bigquery.jobs.list", "bigquery.datasets.create"),
        *("bigquery.datasets.get", "bigquery.tables.list"),
    ),
    "roles/aiplatform.admin": (*PROJECT, "aiplatform.*"),
    "roles/aiplatform.user": (*PROJECT, "aiplatform.*"),
    "roles/aiplatform.viewer": (*PROJECT, "aiplatform.*.get", "aiplatform.*.list"),
    "roles/monitoring.viewer": (*PROJECT, "monitoring.*.get", "monitoring.*.list"),
    "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "roles/logging.viewer": (*PROJECT, "logging.logEntries.list", "logging.logs.list"),
    "roles/iam.serviceAccountAdmin": (
        *PROJECT,
        *(f"iam.serviceAccounts.{verb}" for verb in ("create", "delete", "get", "list", "*IamPolicy")),
    ),
    "roles/iam.serviceAccountUser": (
        *(*PROJECT, "iam.serviceAccounts.actAs", "iam.serviceAccounts.get", "iam.serviceAccounts.list"),
    ),
    "roles/iam.serviceAccountTokenCreator": (
        *(*PROJECT, *TOKENS, "iam.serviceAccounts.get", "iam.serviceAccounts.list"),
    ),
    "roles/iam.workloadIdentityUser": (
        *(*TOKENS, "iam.serviceAccounts.get", "iam.serviceAccounts.list"),
    ),
    "roles/iam.workloadIdentityPoolAdmin": (*PROJECT, "iam.workloadIdentityPool*"),
    "roles/iam.workloadIdentityPoolViewer": (
        *(*PROJECT, "iam.workloadIdentityPool*.get", "iam.workloadIdentityPool*.list"),
    ),
    "roles/artifactregistry.reader": (*PROJECT, *IMAGES_READ, "artifactregistry.*.list"),
    "roles/artifactregistry.writer": (
        *(*PROJECT, *IMAGES_READ, "artifactregistry.*.list"),
        "artifactregistry.repositories.uploadArtifacts",
    ),
    "roles/artifactregistry.repoAdmin": (
        *(*PROJECT, *IMAGES_READ, "artifactregistry.*.list"),
        *("artifactregistry.repositories.uploadArtifacts", "artifactregistry.tags.*"),
        *("artifactregistry.repositories.deleteArtifacts", "artifactregistry.versions.*"),
    ),
    "roles/artifactregistry.admin": (*PROJECT, "artifactregistry.*"),
}


def grants(role: str, permission: str) -> bool:
    """Whether a role that is known holds the permission."""
    return any(fnmatchcase(permission, one) for one in ROLES.get(role, ()))
