"""Background jobs: look at one, cancel it, try it again."""

from fastapi import APIRouter

from bot import audit
from knowledge.types import JobId
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep
from web.schemas import JobOut

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("/{job_id}", response_model=JobOut)
def read(job_id: str, user: DocumentReader, services: ServicesDep) -> object:
    """Returns a job's state, stage and progress."""
    return services.jobs.get(JobId(job_id))


@router.post("/{job_id}/cancel", response_model=JobOut)
def cancel(job_id: str, user: DocumentWriter, services: ServicesDep) -> object:
    """Asks a job to end; it does within two seconds. A finished job stays as it is."""
    job = services.jobs.cancel(JobId(job_id))
    audit.record(services.engine, user.name, action="job.cancel", target=job_id)
    return job


@router.post("/{job_id}/retry", response_model=JobOut)
def retry(job_id: str, user: DocumentWriter, services: ServicesDep) -> object:
    """Queues a failed or cancelled job again."""
    job = services.jobs.retry(JobId(job_id))
    audit.record(services.engine, user.name, action="job.retry", target=job_id)
    return job
