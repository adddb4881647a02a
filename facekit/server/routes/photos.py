"""Photos, faces and tables. Pictures are asked for by id, never by path."""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from facekit.arguments import ID, LONGEST_PATH, YEAR, no_picture
from facekit.images.files import display_name
from facekit.library.documents import photo_for
from facekit.server.access import needs
from facekit.server.accounts import Identity
from facekit.server.parameters import NO_SUCH_PLACE, AlbumOf, GivenPath, IdInPath, Limit, Offset, PersonOf, SourceOf
from facekit.server.refusal import Refusal, ServiceRefusal
from facekit.server.service import Service, ServiceOf
from facekit.server.strict import StrictRoute
from facekit.storage.frames import write_frame
from facekit.storage.relocation import Relocation
from facekit.types.photos import FacePage, Folder, Photo, PhotoPage, Status, TableName

router = APIRouter(prefix="/api/v1", tags=["photos"], route_class=StrictRoute)
Reader = Annotated[Identity, Depends(needs("read"))]
Exporter = Annotated[Identity, Depends(needs("export"))]
Editor = Annotated[Identity, Depends(needs("ingest"))]

_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "The library has nothing with this id, or its file is gone."}
}
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "A JPEG."},
    304: {"description": "It has not changed."},
}
_BUSY: dict[int | str, dict[str, Any]] = {409: {"model": Refusal, "description": "The library is being changed."}}
# An id stands for the photo's content, so a picture of it never changes. Only the person's own browser may keep it.
_CACHE = {"Cache-Control": "private, max-age=86400", "Vary": "Authorization, X-API-Key"}
_EXPORTS = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "npz": "application/zip",
}


@router.get("/photos", responses=_NOT_FOUND | NO_SUCH_PLACE)
def list_photos(
    service: ServiceOf,
    me: Reader,
    status: Annotated[Status | None, Query(description="Only photos with this status.")] = None,
    folder: Annotated[str | None, Query(max_length=LONGEST_PATH, description="Only photos in it or below.")] = None,
    source: SourceOf = None,
    album: AlbumOf = None,
    person: PersonOf = None,
    offset: Offset = 0,
    limit: Limit = 60,
) -> PhotoPage:
    """Some of the photos, ordered by path."""
    where = service.paths.decide(folder, me, "narrow")
    page = service.library.photo_page(
        status, folder=where, source=source, album=album, person=person, offset=offset, limit=limit
    )
    shown = service.paths.shown(me)
    return PhotoPage(page.total, page.offset, tuple(photo_for(photo, shown) for photo in page.photos))


@router.get("/photos/{photo_id}", responses=_NOT_FOUND)
def get_photo(service: ServiceOf, me: Reader, photo_id: IdInPath) -> Photo:
    """One photo with its faces."""
    return photo_for(service.library.photo(photo_id), service.paths.shown(me))


@router.get("/photos/{photo_id}/thumbnail", responses=_NOT_FOUND | _JPEG, response_class=Response)
async def get_thumbnail(service: ServiceOf, me: Reader, request: Request, photo_id: IdInPath) -> Response:
    """A photo as a JPEG of at most 512 pixels, upright."""
    blobs = service.library.storage.blobs
    turn = await run_in_threadpool(lambda: service.library.photo(photo_id).turn)
    there, read = (lambda: blobs.has(photo_id)), (lambda: blobs.file(photo_id) or blobs.get(photo_id))
    return await _picture(service, request, f"t-{photo_id}-{turn}", there, read)


@router.get("/photos/{photo_id}/picture", responses=_NOT_FOUND | _JPEG, response_class=Response)
async def get_picture(service: ServiceOf, me: Reader, request: Request, photo_id: IdInPath) -> Response:
    """A photo as a JPEG for the screen, upright, at most 2048 pixels."""
    library = service.library
    there, read = (lambda: library.file(photo_id)), (lambda: library.picture(photo_id))
    turn = await run_in_threadpool(lambda: library.photo(photo_id).turn)
    return await _picture(service, request, f"p-{photo_id}-{turn}", there, read)


@router.get("/photos/{photo_id}/file", responses=_NOT_FOUND, response_class=FileResponse)
def get_file(service: ServiceOf, me: Exporter, photo_id: IdInPath) -> FileResponse:
    """The photo's own file, as it is, with what the camera wrote into it. Ranges of bytes can be asked for."""
    path = service.library.file(photo_id)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = _CACHE | {"Content-Security-Policy": "sandbox"}
    return FileResponse(path, media_type=kind, filename=display_name(path.name), headers=headers)


class Removal(BaseModel):
    """What to forget."""

    path: GivenPath | list[GivenPath] = Field([], description="A photo, or a folder with all below it; or several.")
    photo_ids: list[Annotated[str, Field(pattern=ID)]] = Field([], description="Photos, wherever they lie.")


class Removed(BaseModel):
    """What was forgotten."""

    paths: int


@router.post("/photos/remove", responses=_NOT_FOUND | _BUSY)
def remove(service: ServiceOf, me: Editor, body: Removal) -> Removed:
    """Forget photos, or all below a folder, with their faces: all that is named, or nothing. The files stay."""
    named = [body.path] if isinstance(body.path, str) else body.path
    if not named and not body.photo_ids:
        raise ServiceRefusal(422, "The request lacks path.", "Or photo_ids.")
    paths = [Path(service.paths.decide(one, me, "read") or "") for one in named]
    return Removed(paths=service.library.remove([*paths, *body.photo_ids]))


class Relocating(BaseModel):
    """What lies elsewhere now."""

    old: str = Field(
        min_length=1, max_length=LONGEST_PATH, description="A folder, or a photo, as the library knows it."
    )
    new: str = Field(
        min_length=1, max_length=LONGEST_PATH, description="Absolute, and under a root that the service allows."
    )


@router.post("/photos/relocate", responses=_NOT_FOUND | _BUSY)
def relocate(service: ServiceOf, me: Editor, body: Relocating) -> Relocation:
    """Say that photos lie elsewhere now, with all that is known of them. The files stay as they are."""
    new = service.paths.decide(body.new, me, "ingest") or ""
    service.paths.decide(body.old, me, "read")
    return service.relocate(body.old, new)


@router.get("/folders")
def list_folders(service: ServiceOf, me: Reader) -> list[Folder]:
    """The folders that hold photos, with how many lie in each or below."""
    shown = service.paths.shown(me)
    folders = [replace(one, folder=shown(one.folder)) for one in service.library.folders()]
    return [folder for folder in folders if folder.folder]


@router.get("/faces", tags=["faces"])
def list_faces(
    service: ServiceOf,
    me: Reader,
    include_poor: Annotated[bool, Query(description="Also faces too small, blurred or turned away.")] = False,
    offset: Offset = 0,
    limit: Limit = 60,
) -> FacePage:
    """Some of the faces, ordered by photo."""
    page = service.library.face_page(include_poor=include_poor, offset=offset, limit=limit)
    shown = service.paths.shown(me)
    return FacePage(page.total, page.offset, page.faces, tuple(photo_for(photo, shown) for photo in page.photos))


@router.get("/faces/{face_id}/thumbnail", tags=["faces"], responses=_NOT_FOUND | _JPEG, response_class=Response)
async def get_face_thumbnail(service: ServiceOf, me: Reader, request: Request, face_id: IdInPath) -> Response:
    """A face as a square JPEG of 160 pixels."""
    library = service.library
    there, read = (lambda: library.face(face_id)), (lambda: library.face_thumbnail(face_id))
    turn = await run_in_threadpool(lambda: library.photo(library.face(face_id).photo_id).turn)
    return await _picture(service, request, f"f-{face_id}-{turn}", there, read)


@router.get("/export/{table}", tags=["export"], responses=_NOT_FOUND | NO_SUCH_PLACE, response_class=FileResponse)
def export(
    service: ServiceOf,
    me: Exporter,
    table: TableName,
    format: Annotated[Literal["csv", "json", "parquet", "npz"], Query(description="npz for embeddings.")] = "csv",  # noqa: A002
    include_poor: Annotated[bool, Query(description="Embeddings of poor faces too.")] = False,
    all_columns: Annotated[bool, Query(description="Faces with landmarks and all facts of their quality.")] = False,
    status: Annotated[Status | None, Query(description="Photos: only those with this status.")] = None,
    person: PersonOf = None,
    together_with: Annotated[
        list[str] | None, Query(max_length=100, description="And with all of these people.")
    ] = None,
    year: Annotated[
        int | None, Query(ge=YEAR.least, le=YEAR.most, description="Photos: only those taken in this year.")
    ] = None,
    source: SourceOf = None,
    album: AlbumOf = None,
) -> FileResponse:
    """All faces, photos or people's faces as a table, or the embeddings (face_id, embedding); photos may be chosen."""
    if (table == "embeddings") != (format == "npz"):
        raise ServiceRefusal(422, f"{table} can't be written as {format}.", "npz is for embeddings, and they for it.")
    chosen: dict[str, Any] = {"person": person, "together_with": together_with, "year": year, "source": source}
    chosen["album"] = album
    if table != "photos" and (status or any(value is not None for value in chosen.values())):
        raise ServiceRefusal(
            422, "Only photos can be chosen by status, person, year, source or album.", "Leave it out."
        )
    photos = service.library.photos(status, **chosen) if table == "photos" else None
    with tempfile.NamedTemporaryFile(suffix=f".{format}", delete=False) as file:
        path = Path(file.name)
        if photos is not None:
            write_frame(photos, file, f".{format}")
    if photos is None and all_columns:
        service.library.export_all(table, path)
    elif photos is None:
        service.library.export(table, path, include_poor=include_poor)
    done = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type=_EXPORTS[format], filename=f"{table}.{format}", background=done)


async def _picture(
    service: Service,
    request: Request,
    name: str,
    exists: Callable[[], Any],
    read: Callable[[], Path | bytes | None],
) -> Response:
    """The picture, unless the browser has it; ``exists`` raises, or is false, where there is none any more."""
    tag = f'"{name}"'
    headers = _CACHE | {"ETag": tag}
    if tag in request.headers.get("if-none-match", "") and await run_in_threadpool(exists):
        return Response(status_code=304, headers=headers)
    found = await service.draw(read)
    if found is None or (isinstance(found, Path) and not found.exists()):
        raise ServiceRefusal(404, no_picture().message)
    if isinstance(found, Path):
        return FileResponse(found, media_type="image/jpeg", headers=headers)
    return Response(found, media_type="image/jpeg", headers=headers)
