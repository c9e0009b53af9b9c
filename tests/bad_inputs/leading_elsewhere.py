"""Files that name other files or hosts, which a program that trusts content would open."""

from __future__ import annotations

from tests.bad_inputs.case import COMPLETES, NOT_MEDIA, REFUSED, Case
from tests.bad_inputs.kitchen import content, ffmpeg, film, nothing, put


def _playlist(segment: str, *before: str) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:9", *before, "#EXTINF:2,", segment, "#EXT-X-ENDLIST"]
    return "\n".join(lines) + "\n"


_MPD = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"
 profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1"
 bandwidth="1000"><BaseURL>BASE</BaseURL></Representation></AdaptationSet></Period></MPD>"""
_SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
_IMF = '<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Path>OUTSIDE/secret.mkv</Path></AssetMap>'


CASES = (
    Case("a playlist with a segment above it", "up.m3u8", content(_playlist("../outside/secret.ts")), NOT_MEDIA),
    Case("the same, named as an mp4", "up.mp4", content(_playlist("../outside/secret.ts")), NOT_MEDIA),
    Case("a playlist with a `file:` segment", "file.m3u8", content(_playlist("file://OUTSIDE/secret.ts")), NOT_MEDIA),
    Case("the same, named as a ts", "file.ts", content(_playlist("file://OUTSIDE/secret.ts")), NOT_MEDIA),
    Case("a playlist with an absolute path", "absolute.m3u8", content(_playlist("OUTSIDE/secret.ts")), NOT_MEDIA),
    Case("a playlist with an `http:` segment", "http.m3u8", content(_playlist("URL/a.ts")), NOT_MEDIA),
    Case("the same, named as an mkv", "http.mkv", content(_playlist("URL/a.ts")), NOT_MEDIA),
    Case("a playlist with a `concat:` segment", "concat.m3u8",
         content(_playlist("concat:OUTSIDE/secret.txt|OUTSIDE/secret.ts")), NOT_MEDIA),
    Case("a playlist with a `subfile,` segment", "subfile.m3u8",
         content(_playlist("subfile,,start,0,end,99,,:OUTSIDE/secret.ts")), NOT_MEDIA),
    Case("a playlist with a `data:` segment", "data.m3u8",
         content(_playlist("data:video/mp2t;base64,R0A=")), NOT_MEDIA),
    Case("a playlist with a `crypto:` key outside", "crypto.m3u8",
         content(_playlist("a.ts", '#EXT-X-KEY:METHOD=AES-128,URI="file://OUTSIDE/secret.txt"')), NOT_MEDIA),
    Case("a playlist with an initial segment outside", "map.m3u8",
         content(_playlist("a.m4s", '#EXT-X-MAP:URI="OUTSIDE/secret.mp4"')), NOT_MEDIA),
    Case("a playlist of playlists", "master.m3u8",
         content("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nURL/b.m3u8\n"), NOT_MEDIA),
    Case("a playlist that names itself", "self.m3u8",
         content("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n"), NOT_MEDIA),
    Case("a concat script named as an mp4", "concat.mp4",
         content("ffconcat version 1.0\nfile 'OUTSIDE/secret.mp4'\n"), NOT_MEDIA),
    Case("a concat script with a path upward", "concat.mkv",
         content("ffconcat version 1.0\nfile ../outside/secret.mp4\n"), NOT_MEDIA),
    Case("a DASH manifest of a host", "host.mpd", content(_MPD.replace("BASE", "URL/x.mp4")), NOT_MEDIA),
    Case("a DASH manifest of a file, named as an mp4", "dash.mp4",
         content(_MPD.replace("BASE", "file://OUTSIDE/secret.mp4")), NOT_MEDIA),
    Case("an SDP session", "session.sdp", content(_SDP), NOT_MEDIA),
    Case("an SDP session named as an mp4", "session.mp4", content(_SDP), NOT_MEDIA),
    Case("an RTSP redirection", "redirect.mp4", content("RTSPtextRTSP://127.0.0.1/x\n"), NOT_MEDIA),
    Case("an ASX list", "list.asx", content('<asx version="3.0"><entry><ref href="URL/a"/></entry></asx>'), NOT_MEDIA),
    Case("a PLS list", "list.pls", content("[playlist]\nFile1=URL/a.mp4\nNumberOfEntries=1\n"), NOT_MEDIA),
    Case("an IMF package", "assets.xml", content(_IMF), NOT_MEDIA),
    Case("an AviSynth script", "script.avs", content('FFmpegSource2("OUTSIDE/secret.mp4")\n'), NOT_MEDIA),
    Case("a VapourSynth script", "script.vpy", content("open('OUTSIDE/secret.txt').read()\n"), NOT_MEDIA),
    Case("a filter graph", "graph.mp4", content("movie=OUTSIDE/secret.mp4\n"), NOT_MEDIA),
    Case("a Matroska that asks for its next part", "linked.mkv",
         ffmpeg("-i", "FILM", "-metadata", "NEXTFILENAME=../outside/secret.mkv", "-c", "copy"), COMPLETES),
    Case("an mp4 that says that its media is in another file", "reference.mp4",
         film(change=put(b"url \0\0\0\1", b"url \0\0\0\0")), COMPLETES),
    Case("a pattern of an image sequence that matches no file", "frame%03d.png", nothing, REFUSED),
    Case("a URL as the input's name", "http:/127.0.0.1/x.mp4", nothing, REFUSED),
    Case("a pipe as the input's name", "pipe:0", nothing, REFUSED),
    Case("a test source as the input's name", "testsrc2=size=64x48", nothing, REFUSED),
)  # fmt: skip
