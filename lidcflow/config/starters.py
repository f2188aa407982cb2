"""Commented configurations to start from, one for each role; `lidcflow init` writes them."""

from __future__ import annotations

_HEAD = """# lidcflow for {purpose}. Research use only, not for diagnosis.
# Every setting has a default: what is not named here keeps it. All of them: docs/reference/configuration.md.
# An environment variable overrides a line: LIDCFLOW_TRAIN__SECTOR_NUM=13 sets train.sector_num.
# `lidcflow doctor` checks this file and the machine.
"""

_RESEARCH = """
workspace = "lidcflow-workspace"   # store, catalog, MLflow and reports
patient_key = "private"            # pseudonyms by a secret of this workspace; "public" for published data alone

[preprocess]                       # a store belongs to one set of these values
slices = 65                        # slices of a volume, however long the scan is
size = 128                         # rows and columns of a slice

[labels]
source = "lidc"                    # the readings of LIDC-IDRI in the package; or files of SR, SEG, CSV or XML
min_readers = 1                    # readers that must have marked a nodule

[split]                            # by patient, never by series
validation = 0.15
test = 0.15

[train]
sector_num = 5                     # models along the chest; 1 is one model for all slices
head = "linear"                    # or "mlp", "paper"
epochs = 30
seed = 0

[nodules]
candidates = true                  # nodule candidates beside each volume: findings, with 2 to 3 s of CPU a series
"""

_HOSPITAL = """
workspace = "lidcflow-workspace"   # on a disk that only this service can read
patient_key = "private"            # pseudonyms by a secret of this workspace: keep a copy of its key
inbox = ["pacs:main"]              # where new studies arrive; a folder works too, as "incoming"

[access.pacs.main]                 # user and password come from variables, never from this file
url = "https://pacs.example.org/dicom-web"

[infer]
release = "champion"               # "embedded" until a release of your own is in force
slices = 10                        # slices that are recommended in a study, at most

[delivery]
to = ["pacs:main"]                 # or a folder
documents = ["kos", "sr"]          # key objects and a structured report; "seg" adds outlines

[drift]                            # recent studies are compared with the training data
days = 30                          # of studies that are compared

[retention]                        # `lidcflow clean` deletes what is older
reports_days = 365
"""

_CLUSTER = """
workspace = "/shared/lidcflow"     # a folder that every machine sees
store = "s3://lidcflow/store"      # volumes in a bucket; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
inbox_store = "s3://lidcflow/inbox-store"
patient_key = "private"

[access.s3]
endpoint = "https://storage.example.org"

[cluster]
place = "tcp://scheduler:8786"     # a Dask scheduler; or a class, as "dask_jobqueue.SLURMCluster"
gpus = 0                           # GPUs that the training workers offer
batch_size = 256                   # series in one Prefect task

[cluster.train]                    # workers that train and read, where they differ from the others
workers = 4

[tracking]
uri = "http://mlflow:5000"         # an MLflow server that every worker reaches
"""

STARTERS = {
    "research": _HEAD.format(purpose="one researcher on one machine") + _RESEARCH,
    "hospital": _HEAD.format(purpose="a service that reads new studies") + _HOSPITAL,
    "cluster": _HEAD.format(purpose="many machines with one store") + _CLUSTER,
}
"""Text of a configuration file by role."""
