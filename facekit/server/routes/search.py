"""Search by pictures of somebody."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from loguru import logger
from pydantic import BaseModel, Field

from facekit.arguments import ID, LONGEST_PATH, LONGEST_TEXT, SIMILARITY, TOP_K
from facekit.library.documents import SearchDocument, search_document
from facekit.search.known_faces import Known
from facekit.server.access import needs
from facekit.server.accounts import Identity
from facekit.server.parameters import ALBUM_WORDS, NO_SUCH_PLACE, SOURCE_WORDS
from facekit.server.refusal import Refusal, ServiceRefusal
from facekit.server.service import ServiceOf
from facekit.server.strict import StrictRoute
from facekit.text.keywords import meant
from facekit.types.photos import ProbeFace

MAX_PROBES = 8

router = APIRouter(prefix="/api/v1/search", tags=["search"], route_class=StrictRoute)
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is no such person."}}
Searcher = Annotated[Identity, Depends(needs("search"))]


async def only_known_fields(request: Request) -> None:
    """Refuse a form with a field that the route does not have: a search would be another one than was meant."""
    known = [field.alias for field in request.scope["route"].dependant.body_params]
    for name in [*await request.form(), *request.query_params]:
        if name not in known:
            message = f"There is no field {name[:100]!r}."
            raise ServiceRefusal(422, message, meant(name, known))


@router.post("/upload", responses=_NOT_FOUND | NO_SUCH_PLACE, dependencies=[Depends(only_known_fields)])
async def search(
    service: ServiceOf,
    me: Searcher,
    file: Annotated[list[UploadFile] | None, File(description="Pictures of the person.")] = None,
    face_id: Annotated[
        list[Annotated[str, Form(pattern=ID)]] | None,
        Form(description="Faces of the library that are the person, instead of pictures or beside them."),
    ] = None,
    person_id: Annotated[
        list[Annotated[str, Form(pattern=ID)]] | None,
        Form(description="People of the library: the average of their good faces."),
    ] = None,
    face: Annotated[
        list[Annotated[int, Form(ge=0)]] | None,
        Form(description="Which face of each picture, from 0 in order of size; by default the largest."),
    ] = None,
    top_k: Annotated[int, Form(ge=TOP_K.least, le=TOP_K.most, description="The most photos to return.")] = 50,
    min_similarity: Annotated[
        float | None,
        Form(
            ge=SIMILARITY.least,
            le=SIMILARITY.most,
            description="Cosine similarity from which a face counts; by default the library's.",
        ),
    ] = None,
    source: Annotated[str | None, Form(max_length=LONGEST_TEXT, description=SOURCE_WORDS)] = None,
    folder: Annotated[
        str | None, Form(max_length=LONGEST_PATH, description="Only photos in this folder or below it.")
    ] = None,
    album: Annotated[str | None, Form(max_length=LONGEST_PATH, description=ALBUM_WORDS)] = None,
    after: Annotated[date | datetime | None, Form(description="Only photos taken on this date or later.")] = None,
    before: Annotated[date | datetime | None, Form(description="Only photos taken before this date.")] = None,
    include_poor: Annotated[bool, Form(description="Also faces too small, blurred or turned away.")] = False,
    person: Annotated[
        str | None, Form(max_length=LONGEST_TEXT, description="Only photos that show this person: a name, or an id.")
    ] = None,
) -> SearchDocument:
    """Find the photos of a person. Several pictures are averaged."""
    pictures = file or []
    _check(pictures)
    kept = [Known(face_id=key) for key in face_id or ()] + [Known(person_id=key) for key in person_id or ()]
    if not pictures and not kept:
        raise ServiceRefusal(422, "The request lacks file.", "Or face_id, or person_id, of somebody in the library.")
    if len(pictures) + len(kept) > MAX_PROBES:
        raise ServiceRefusal(422, "These are too many to search for at once.", f"Send 1 to {MAX_PROBES}.")
    where = service.paths.decide(folder, me, "narrow")

    def work() -> SearchDocument:
        hits = service.library.search(
            [*service.decode([one.file.read() for one in pictures]), *kept],  # read only when it is its turn
            face=None if not face else face[0] if len(face) == 1 else [*face, *[0] * len(kept)],
            top_k=top_k,
            min_similarity=min_similarity,
            source=source,
            folder=where,
            album=album,
            after=after,
            before=before,
            include_poor=include_poor,
            person=person,
        )
        shown = service.paths.shown(me)
        probes = tuple(replace(one, path=shown(one.path)) for one in hits.probes)
        return search_document(replace(hits, probes=probes), shown)

    if face and len(face) not in {1, len(pictures)}:
        raise ServiceRefusal(422, "Faces are given for another number of pictures.", "Give one for all, or one each.")
    return await service.search(work)


@router.post("/faces", dependencies=[Depends(only_known_fields)])
async def faces_in(
    service: ServiceOf,
    me: Searcher,
    file: Annotated[UploadFile, File(description="A picture of somebody.")],
) -> list[ProbeFace]:
    """Find the faces in a picture, largest first: `face` of a search counts in this order. Nothing is kept."""
    return list(await service.search(lambda: service.library.faces_in(service.decode([file.file.read()])[0])))


class SearchSimilarity(BaseModel):
    """From which similarity a face counts in a search that names none."""

    value: float | None = Field(
        ge=SIMILARITY.least, le=SIMILARITY.most, description="Cosine similarity; null takes the embedder's own again."
    )


class MeasuredSimilarity(SearchSimilarity):
    """A similarity with the embedder that it was measured with."""

    embedder: str | None = Field(
        None,
        max_length=LONGEST_TEXT,
        description='Name and version, "sface 1": refused if the library has another by now.',
    )


@router.put(
    "/similarity",
    responses={409: {"model": Refusal, "description": "The library is being changed, or has another embedder."}},
)
def set_similarity(
    service: ServiceOf, me: Annotated[Identity, Depends(needs("ingest"))], body: MeasuredSimilarity
) -> SearchSimilarity:
    """Set the similarity from which a face counts in a search that names none; the answer says what counts now."""
    service.library.set_search_similarity(body.value, embedder=body.embedder)
    now = service.library.search_similarity
    logger.info("{} set the similarity of searches to {}", me.name, now)
    return SearchSimilarity(value=now)


def _check(files: list[UploadFile]) -> None:
    """What a file is called, and of which type it says it is, is nothing to go by: its content is."""
    if len(files) > MAX_PROBES:
        raise ServiceRefusal(422, f"{len(files)} pictures are too many.", f"Send at most {MAX_PROBES}.")
