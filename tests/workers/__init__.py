"""An application in the workers that people deploy: gunicorn, uWSGI and Celery."""
