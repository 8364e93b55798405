"""The configuration files of the emulated cluster, as text."""

from __future__ import annotations

import socket
from pathlib import Path

NODES = ("n1", "n2", "n3", "n4")
GPUS = ("/dev/sweepgpu0", "/dev/sweepgpu1")
ACCOUNT = "research"

# cred_expire is also how long a requeued job waits before it may start again (120 s by default). A dead node is
# noticed SlurmdTimeout plus MessageTimeout after its death.
SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
MailProg=/bin/true
MpiDefault=none
ReturnToService=2

StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none

SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MinJobAge=300
OverTimeLimit=0
SlurmdTimeout=10
MessageTimeout=5
KillWait=5

JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu

{nodes}
PartitionName=DEFAULT Nodes=n[1-4] State=UP MaxTime=1-00:00:00 PreemptMode=OFF
PartitionName=main Default=YES
PartitionName=short MaxTime=00:05:00
PartitionName=low PriorityTier=1 PreemptMode=CANCEL GraceTime=10
PartitionName=lowrequeue PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high PriorityTier=10
"""

GRES_CONF = """\
AutoDetect=off
NodeName=n[1-4] Name=gpu File=/dev/sweepgpu[0-1]
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""


def write_configuration(folder: Path, name: str, base_port: int) -> None:
    """slurm.conf, gres.conf and slurmdbd.conf, which Slurm looks for beside each other."""
    host = socket.gethostname().split(".")[0]
    values = {
        "name": name,
        "host": host,
        "folder": folder,
        "controller_port": base_port + 10,
        "accounting_port": base_port + 11,
        "nodes": "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={base_port + number} "
            f"CPUs=8 RealMemory=4000 Gres=gpu:{len(GPUS)} State=UNKNOWN"
            for number, node in enumerate(NODES, start=1)
        ),
    }
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
    (folder / "gres.conf").write_text(GRES_CONF)
    slurmdbd = folder / "slurmdbd.conf"
    slurmdbd.touch(mode=0o600)  # slurmdbd refuses a configuration that others can read
    slurmdbd.write_text(SLURMDBD_CONF.format(**values))
