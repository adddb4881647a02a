"""Face regions in XMP, against exiftool as a reader of what is written and as a writer of what is read."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import need
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facekit.errors import FacekitError, PhotoError
from facekit.images.stored_orientation import stored_box, stored_photo, upright_box
from facekit.xmp.regions import FaceRegions, Region, read_regions, with_faces

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.images.stored_orientation import Box

ANNA = Region("Anna", (0.1, 0.2, 0.2, 0.3))
IVAN = Region("Иван <&\"'>", (0.6, 0.5, 0.2, 0.2))
SIZE = (4000, 3000)

# As digiKam 8 writes it: structures in nested descriptions and attributes, and the same faces the Microsoft way.
DIGIKAM = """<?xml version="1.0" encoding="UTF-8"?>
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <!-- a comment -->
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:mine="http://example.org/mine/"
    xmlns:MP="http://ns.microsoft.com/photo/1.2/"
    xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#"
    xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
   xmp:Rating="4"
   mine:note="two&#xA;lines&#x9;and a tab">
   <digiKam:TagsList><rdf:Seq><rdf:li>People/Annie</rdf:li></rdf:Seq></digiKam:TagsList>
   <mine:text><![CDATA[one, ]]>two &amp; three</mine:text>
   <MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>
     <rdf:li MPReg:PersonDisplayName="Annie" MPReg:Rectangle="0.1, 0.2, 0.2, 0.3"/>
   </rdf:Bag></MPRI:Regions></MP:RegionInfo>
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions stDim:w="4000" stDim:h="3000" stDim:unit="pixel"/>
    <mwg-rs:RegionList><rdf:Bag>
      <rdf:li><rdf:Description mwg-rs:Name="Annie" mwg-rs:Type="Face">
        <mwg-rs:Area stArea:x="0.21" stArea:y="0.36" stArea:w="0.2" stArea:h="0.3" stArea:unit="normalized"/>
      </rdf:Description></rdf:li>
      <rdf:li><rdf:Description mwg-rs:Name="Rex" mwg-rs:Type="Pet">
        <mwg-rs:Area stArea:x="0.7" stArea:y="0.6" stArea:w="0.2" stArea:h="0.2" stArea:unit="normalized"/>
      </rdf:Description></rdf:li>
      <rdf:li rdf:parseType="Resource">
        <mwg-rs:Area rdf:parseType="Resource"><stArea:x>0.9</stArea:x><stArea:y>0.1</stArea:y>
          <stArea:w>0.1</stArea:w><stArea:h>0.1</stArea:h></mwg-rs:Area>
        <mwg-rs:Name>Olga</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type>
      </rdf:li>
    </rdf:Bag></mwg-rs:RegionList>
   </mwg-rs:Regions>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()

# As Lightroom writes it: no packet around it, develop settings, no faces.
LIGHTROOM = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   crs:Version="15.4" crs:Temperature="5500">
   <dc:subject><rdf:Bag><rdf:li>summer</rdf:li></rdf:Bag></dc:subject>
   <Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Olga</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


@pytest.fixture(scope="module")
def exiftool() -> str:
    program = shutil.which("exiftool")
    need(program, "install exiftool (Debian's libimage-exiftool-perl)")
    return str(program)


def told(exiftool: str, path: Path, *tags: str) -> dict[str, Any]:
    """What exiftool reads from a file, and what it finds wrong with it."""
    command = [exiftool, "-struct", "-json", "-G1", "-a", *(tags or ["-all"]), "-validate", "-warning", str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0])


def regions_told(exiftool: str, path: Path) -> dict[str, Any]:
    return dict(told(exiftool, path, "-XMP-mwg-rs:all")["XMP-mwg-rs:RegionInfo"])


def close(first: Box, second: Box, within: float = 1e-6) -> bool:
    return bool(np.allclose(first, second, rtol=0, atol=within))


def picture_with(path: Path, orientation: int, size: tuple[int, int] = (60, 40), **options: Any) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, "grey").save(path, exif=exif, **options)
    return path


boxes = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1))
orientations = st.integers(1, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_as_the_pixels_do(orientation: int) -> None:
    stored = np.zeros((40, 60), np.uint8)
    stored[6:14, 9:21] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(stored)
    picture.info["exif"] = exif.tobytes()
    upright = np.asarray(ImageOps.exif_transpose(picture))
    rows, columns = np.nonzero(upright)
    height, width = upright.shape
    seen = (
        columns.min() / width,
        rows.min() / height,
        (np.ptp(columns) + 1) / width,
        (np.ptp(rows) + 1) / height,
    )
    assert close(upright_box((9 / 60, 6 / 40, 12 / 60, 8 / 40), orientation), seen, 1e-12)


@pytest.mark.parametrize(
    ("orientation", "centre"),
    # What Immich shows at x 0.2, y 0.3, w 0.2, h 0.4 stands in the file like this.
    [(1, (0.2, 0.3, 0.2, 0.4)), (6, (0.3, 0.8, 0.4, 0.2)), (8, (0.7, 0.2, 0.4, 0.2))],
)
def test_a_box_stands_in_the_file_where_other_programs_expect_it(orientation: int, centre: Box) -> None:
    x, y, w, h = stored_box((0.1, 0.1, 0.2, 0.4), orientation)
    assert close((x + w / 2, y + h / 2, w, h), centre, 1e-12)


@given(box=boxes, orientation=orientations)
def test_turning_a_box_back_gives_the_box(box: Box, orientation: int) -> None:
    assert close(upright_box(stored_box(box, orientation), orientation), box, 1e-12)
    assert close(stored_box(upright_box(box, orientation), orientation), box, 1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), boxes), max_size=4))
def test_what_is_written_is_read(named: list[tuple[str, Box]]) -> None:
    faces = [Region(name, (0.25 * number + box[0] / 10, *box[1:])) for number, (name, box) in enumerate(named)]
    document, number = with_faces(None, faces, SIZE)
    found = read_regions(document).faces
    assert len(found) == number
    for face in faces:
        here = [one.name for one in found if close(one.box, face.box)]
        if face.name.isprintable() and face.name.strip():
            assert here == [" ".join(face.name.split())]
    assert with_faces(document, faces, SIZE) == (document, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exiftool_reads_what_is_written(orientation: int, tmp_path: Path, exiftool: str) -> None:
    stored = stored_photo(picture_with(tmp_path / "photo.jpg", orientation))
    assert (stored.width, stored.height, stored.orientation) == (60, 40, orientation)
    faces = [Region(face.name, stored_box(face.box, orientation)) for face in (ANNA, IVAN)]
    sidecar = tmp_path / "photo.jpg.xmp"
    sidecar.write_bytes(with_faces(None, faces, (stored.width, stored.height))[0])
    found = regions_told(exiftool, sidecar)
    assert found["AppliedToDimensions"] == {"W": 60, "H": 40, "Unit": "pixel"}
    assert [(one["Name"], one["Type"], one["Area"]["Unit"]) for one in found["RegionList"]] == [
        ("Anna", "Face", "normalized"),
        (IVAN.name, "Face", "normalized"),
    ]
    for one, face in zip(found["RegionList"], (ANNA, IVAN), strict=True):
        x, y, w, h = (float(one["Area"][field]) for field in "XYWH")
        assert close(upright_box((x - w / 2, y - h / 2, w, h), orientation), face.box)
    all_told = told(exiftool, sidecar)
    assert all_told["ExifTool:Validate"] == "OK"
    assert sorted(all_told["XMP-iptcExt:PersonInImage"]) == ["Anna", IVAN.name]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_exiftool_writes_is_read(orientation: int, tmp_path: Path, exiftool: str) -> None:
    photo = picture_with(tmp_path / "photo.jpg", orientation)
    x, y, w, h = stored_box(ANNA.box, orientation)
    area = f"{{X={x + w / 2},Y={y + h / 2},W={w},H={h},Unit=normalized}}"
    info = (
        f"-RegionInfo={{AppliedToDimensions={{W=60,H=40,Unit=pixel}},RegionList=[{{Area={area},Name=Anna,Type=Face}}]}}"
    )
    sidecar = tmp_path / "photo.jpg.xmp"
    for target in (sidecar, photo):
        subprocess.run([exiftool, "-overwrite_original", info, str(target)], check=True, capture_output=True)
    for packet in (sidecar.read_bytes(), stored_photo(photo).xmp):
        assert packet is not None
        found = read_regions(packet)
        assert found.size == (60, 40)
        assert [one.name for one in found.faces] == ["Anna"]
        assert close(upright_box(found.faces[0].box, orientation), ANNA.box)


def test_the_microsoft_way_is_read_too(tmp_path: Path, exiftool: str) -> None:
    sidecar = tmp_path / "photo.xmp"
    info = "-RegionInfoMP={Regions=[{PersonDisplayName=Anna,Rectangle=0.1|, 0.2|, 0.2|, 0.3}]}"
    subprocess.run([exiftool, info, str(sidecar)], check=True, capture_output=True)
    assert read_regions(sidecar.read_bytes()) == FaceRegions((ANNA,), None)


def test_faces_are_read_and_pets_are_not() -> None:
    assert [one.name for one in read_regions(DIGIKAM).faces] == ["Annie", "Olga"]
    nameless = DIGIKAM.replace(b"<mwg-rs:Name>Olga</mwg-rs:Name>", b"")
    assert [one.name for one in read_regions(nameless).faces] == ["Annie", ""]
    assert read_regions(LIGHTROOM) == FaceRegions((), None)


@pytest.mark.parametrize("before", [DIGIKAM, LIGHTROOM], ids=["digiKam", "Lightroom"])
def test_everything_else_is_kept(before: bytes, tmp_path: Path, exiftool: str) -> None:
    after, _ = with_faces(before, [ANNA, IVAN], SIZE)
    old, new = tmp_path / "old.xmp", tmp_path / "new.xmp"
    old.write_bytes(before)
    new.write_bytes(after)
    ours = ("XMP-mwg-rs", "XMP-MP", "XMP-iptcExt", "System", "SourceFile")
    first, second = (
        {tag: value for tag, value in told(exiftool, path).items() if not tag.startswith(ours)} for path in (old, new)
    )
    assert first == second
    assert len(first) > 5
    if before is DIGIKAM:
        for kept in (b"<!-- a comment -->", b"two&#10;lines&#9;and a tab", b"W5M0MpCehiHzreSzNTczkc9d", b'end="w"'):
            assert kept in after


def test_a_region_at_a_faces_place_takes_the_name_and_keeps_its_box(tmp_path: Path, exiftool: str) -> None:
    after, number = with_faces(DIGIKAM, [ANNA], SIZE)
    assert number == 1
    sidecar = tmp_path / "photo.xmp"
    sidecar.write_bytes(after)
    found = [(one["Name"], one["Type"], one["Area"]["X"]) for one in regions_told(exiftool, sidecar)["RegionList"]]
    assert found == [("Anna", "Face", 0.21), ("Rex", "Pet", 0.7), ("Olga", "Face", 0.9)]
    assert told(exiftool, sidecar, "-XMP-MP:all")["XMP-MP:RegionInfoMP"]["Regions"][0]["PersonDisplayName"] == "Anna"


def test_a_face_beside_the_others_is_added(tmp_path: Path, exiftool: str) -> None:
    sidecar = tmp_path / "photo.xmp"
    sidecar.write_bytes(with_faces(DIGIKAM, [IVAN], SIZE)[0])
    names = [one["Name"] for one in regions_told(exiftool, sidecar)["RegionList"]]
    assert names == ["Annie", "Rex", "Olga", IVAN.name]  # though Ivan is where the dog is


def test_the_list_of_people_follows_a_change_of_name(tmp_path: Path, exiftool: str) -> None:
    sidecar = tmp_path / "photo.xmp"
    first, _ = with_faces(LIGHTROOM, [ANNA, IVAN], SIZE)
    second, number = with_faces(first, [Region("Anya", ANNA.box), IVAN], SIZE)
    sidecar.write_bytes(second)
    assert number == 1
    assert sorted(told(exiftool, sidecar)["XMP-iptcExt:PersonInImage"]) == ["Anya", "Olga", IVAN.name]


def test_a_document_that_has_it_all_is_left_alone() -> None:
    once, _ = with_faces(DIGIKAM, [ANNA, IVAN], SIZE)
    moved = Region(ANNA.name, (0.13, 0.25, 0.2, 0.3))  # the same face, as another detector has it
    again, number = with_faces(once, [moved, IVAN], SIZE)
    assert again is once
    assert number == 0


def test_a_name_that_a_face_does_not_have_is_taken_out_of_its_region(tmp_path: Path, exiftool: str) -> None:
    sidecar = tmp_path / "photo.xmp"
    kept, number = with_faces(DIGIKAM, [], SIZE, [(ANNA.box, {"Olga"})])
    assert (kept, number) == (DIGIKAM, 0)
    sidecar.write_bytes(with_faces(DIGIKAM, [], SIZE, [(ANNA.box, {"ANNIE"}), (IVAN.box, ())])[0])
    regions = regions_told(exiftool, sidecar)["RegionList"]
    assert [one.get("Name") for one in regions] == [None, "Rex", "Olga"]
    assert regions[0]["Area"]["X"] == 0.21
    assert "PersonDisplayName" not in told(exiftool, sidecar, "-XMP-MP:all")["XMP-MP:RegionInfoMP"]["Regions"][0]


ENTITIES = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghz"))
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">{ENTITIES}]><x>&z;</x>'
DEEP = b"<a>" * 100_000 + b"</a>" * 100_000


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param(BOMB.encode(), "document type", id="entities that grow"),
        pytest.param(BOMB.encode("utf-16"), "document type", id="in another encoding"),
        pytest.param(b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type", id="a file elsewhere"),
        pytest.param(DEEP, "deep", id="deep"),
        pytest.param(LIGHTROOM[:300], "damaged", id="cut short"),
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(b"<html/>", "no XMP", id="something else"),
        pytest.param(b'<?xml version="1.0" encoding="nonsense"?><x/>', "damaged", id="no encoding"),
        pytest.param(b" " * (33 << 20), "too much", id="large"),
        pytest.param(b"<x>" + b"<a/>" * 200_000 + b"</x>", "too much", id="many elements"),
        pytest.param(b"<x>" + b"<a b='' c='' d=''/>" * 50_000 + b"</x>", "too much", id="many attributes"),
        pytest.param(b"<x>" + b"<!---->" * 200_001 + b"</x>", "too much", id="many comments"),
    ],
)
def test_a_hostile_or_damaged_document_is_refused(document: bytes, words: str) -> None:
    with pytest.raises(FacekitError, match=words):
        read_regions(document)
    with pytest.raises(FacekitError, match=words):
        with_faces(document, [ANNA], SIZE)


@pytest.mark.parametrize("area", ['stArea:w="nan" stArea:h="1"', 'stArea:w="0" stArea:h="1"', 'stArea:w="1,5"', ""])
def test_a_region_without_a_place_is_no_region(area: str) -> None:
    document, _ = with_faces(None, [ANNA], SIZE)
    before, rest = document.split(b'stArea:w="', 1)
    after = rest.split(b'stArea:h="', 1)[1].split(b'"', 1)[1]
    assert read_regions(before + area.encode() + after).faces == ()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "heic", "avif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photos_header_is_read_from_every_format(
    ending: str, orientation: int, tmp_path: Path, exiftool: str
) -> None:
    if ending == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    photo = picture_with(tmp_path / f"photo.{ending}", orientation)
    if ending in {"heic", "avif"}:  # Debian's exiftool writes no XMP into these: Pillow does
        Image.new("RGB", (60, 40)).save(photo, xmp=with_faces(None, [ANNA], SIZE)[0])
        orientation = 1
    else:
        embedded = tmp_path / "embedded.xmp"
        embedded.write_bytes(with_faces(None, [ANNA], SIZE)[0])
        command = [exiftool, "-overwrite_original", "-tagsfromfile", str(embedded), "-xmp:all", str(photo)]
        subprocess.run(command, check=True, capture_output=True)
    stored = stored_photo(photo)
    assert (stored.width, stored.height, stored.orientation) == (60, 40, orientation)
    assert stored.xmp is not None
    assert [one.name for one in read_regions(stored.xmp).faces] == ["Anna"]


def test_a_file_that_is_no_photo_is_reported(tmp_path: Path) -> None:
    for name, content in {"empty.jpg": b"", "text.jpg": b"hello", "cut.jpg": b"\xff\xd8\xff\xe0"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PhotoError, match=name):
            stored_photo(tmp_path / name)
    for name in ("gone.jpg", ""):
        with pytest.raises(PhotoError):
            stored_photo(tmp_path / name)
