"""Any storage: S3, Google's, SFTP, WebDAV, SMB, web servers, zip files."""
